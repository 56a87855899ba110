"""Alignment measured on edits that are known exactly: recordings in, one table row per kind of edit out.

    material  recordings of a folder, or songs composed by the library, with their beats
    truth     edit lists drawn at random, rendered; what plays when, in seconds
    sound     what happens to an edit on its way to a file: mastering, codecs, tools that change tempo and pitch
    kinds     the kinds of pairs, each a raw file, an edit file and the truth
    methods   the project's alignment and what it is compared with, file to time line
    scores    a time line against the truth
    report    tables, the reliability of stated confidence

Conventions: audio is float32 ``[frames, channels]``; positions of a plan are frames of the raw, times of a time line
seconds of the edit's file and of the raw's file. All chance comes from (seed, track, edit, kind).

    python -m benchmarks.align [FOLDER] [--kinds clean,mastered] [--tracks 8] [--edits 1] [--seconds 100]
"""
