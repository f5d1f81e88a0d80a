"""Reinforcement-learning agents: stable-baselines3's DQN with what FedRAL adds to it."""
