"""Models, local training engines and inference."""
