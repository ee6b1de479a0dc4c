"""Settings: what a person may choose, where a choice may stand, and how a wrong one is explained.

    --set, --live ─┐
    KLINED_*  .env ─┤                     ┌▶ Settings (frozen sections, each value with its origin)
    credentials dir ┼▶ layers ▶ merge ▶ validate
    klined.toml ────┘                     └▶ faults: all of them, file:line, what to write instead

`sources` reads, `faults` explains, `settings` holds the sections with their meanings, `load` joins them, `reference`
prints them. Nothing is imported here: commands that only need the control socket must not pay for pydantic.
"""
