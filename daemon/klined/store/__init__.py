"""What klined remembers: a journal that is never wrong, and a cache of bars that may be thrown away.

    state/
      lock          one process a state directory; the pid of its user inside
      journal.db    WAL, synchronous=FULL: inputs, decisions, intents, orders, fills, events, flags, snapshot, venue
      bars.db       WAL, synchronous=NORMAL: bars and metrics; deleted or damaged, it is rebuilt from the journal

One record is one transaction (`SyncJournal` may gather a group of them into one). The live adapter (`journal`) and the
one for replay and simulation (`synchronous`) write the same rows by the same statements (`rows`).
"""
