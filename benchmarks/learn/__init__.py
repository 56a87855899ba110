"""How much of an editor is learned from few pairs: several editors, seeds and splits, beside the editor's own ceiling.

``editors`` are editors that the default corpus does not know, ``runs`` one training run and its numbers, ``tables``
what the runs add up to. ``python -m benchmarks.learn [FOLDER]`` prints the tables of ``docs/learning.md``.
"""
