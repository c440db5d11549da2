"""What the assistant does with words it has heard: timers, alarms, lists, answers, forgetting.

Text, time and what is known go in, values come out; only `agenda`, `bell`, `respond` and `asking`
touch a vault, a loudspeaker or a terminal. Everything that it makes is sealed as an artefact of the
interaction that asked for it, and dies with it; nothing else is stored anywhere.
"""
