"""The same strategy in a real federation: sites that keep their data, and people who label.

A site answers six verbs (``site``); the server runs the cycle through a link (``server``). What
carries the messages does not matter: Flower does in ``flower``, a function call in tests.
"""
