"""Preference learning measured on simulated listeners, whose taste and habits are known; no person is in here.

listeners   tastes, noise, habits; a whole session with a listening set
example     a report on four of them, to look at
__main__    what is learned of them, from how many judgements, and what PPO makes of it
"""
