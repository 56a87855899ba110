"""Beats: songs whose beats are known exactly, trackers side by side, and a network for the next default tracker."""
