"""PPO beside sb3-contrib's MaskablePPO, on the same Gymnasium environment, recordings and reward.

``songs`` makes the recordings, ``plain`` the two-layer network that both can train, ``contest`` the two learners and
what is measured of them; ``benchmarks.bench`` prints the rows ``ppo-same`` and ``ppo-best``, and ``ppo-device`` the
speed on another device.
"""
