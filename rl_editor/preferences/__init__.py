"""Preferences of listeners: what to play them, in which order, and what may be concluded from their answers.

drafts      edits of a song by several ways, equally long
excerpts    where two edits differ
anchors     an edit against itself broken
loudness    both equally loud
candidates  a listening set of all that
planning    which pair comes next, and which side first
tables      answers as CSV
report      listeners, ways of editing, what may be learned
words, picture, pages   the report for people
commands    ``rl-editor preferences``
"""
