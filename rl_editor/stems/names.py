"""What stems are called."""

STEM_NAMES = ("drums", "bass", "vocals", "other")
HPSS = "hpss"  # the name of the model that is none
