"""The process around the cores: five stages and their queues, life cycle, health, control, log.

daemon.py     puts one daemon together from settings and runs it to its end
pipeline.py   the queues and the TaskGroup in which the stages live
stages.py     feed, indicators, policy, gate, executor: a loop of a few lines around a pure call each
lifecycle.py  start-up (which is recovery), signals, flatten, the durable flags
loop.py       virtual time, for replay and simulation
"""
