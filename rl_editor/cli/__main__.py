"""``python -m rl_editor.cli``."""

from rl_editor.cli import main

if __name__ == "__main__":
    main()
