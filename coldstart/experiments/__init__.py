"""Which of several pipelines serves better: who is assigned to which, what they were shown, and what may be concluded.

Pure: no clock, no database. An experiment is a frozen description (`design`), a unit's arm a function of its id
(`assignment`), and a report a function of the exposures and of the outcomes (`report`).
"""
