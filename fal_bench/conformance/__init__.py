"""What every strategy must satisfy, and a report of whether it does.

``falbench check`` runs the checks from the command line (``process``); tests of a plugin call
``fal_bench.check_strategy`` (``runner``). One file a check is in ``checks``.
"""
