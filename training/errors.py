"""Everything that can go wrong before a version is published.

TrainingError
├── UsageError                 what was asked for cannot be done; the command ends with 2
│   ├── PresetNotFoundError    no preset of that name
│   ├── SettingError           an unknown key, or a value that does not fit it
│   ├── DataNotFoundError      the data set is not where it was looked for
│   ├── DeviceError            the device is not on this machine
│   └── RunError               the run's folder holds another run, or none to go on with
├── DataError                  the files are there and are not what they should be
├── CheckpointError            a checkpoint could not be written, or none could be read
├── TuningError                the study cannot be opened, or no trial ended
├── InterruptedRunError        Ctrl-C; says what there is to go on from
└── NonFiniteLossError         the loss became NaN or infinite
"""


class TrainingError(Exception):
    """Base of all errors of `training`; the message is one line and meant for people."""


class UsageError(TrainingError):
    """What was asked for cannot be done."""


class PresetNotFoundError(UsageError):
    """No preset of that name."""


class SettingError(UsageError):
    """An unknown key, or a value that does not fit it."""


class DataNotFoundError(UsageError):
    """The data set is not where it was looked for."""


class DeviceError(UsageError):
    """The device is not on this machine."""


class RunError(UsageError):
    """The run's folder holds another run, or none to go on with."""


class CheckpointError(TrainingError):
    """A checkpoint could not be written, or none could be read."""


class DataError(TrainingError):
    """The data set's files are there and are not what they should be."""


class TuningError(TrainingError):
    """The study cannot be opened, or no trial ended."""


class InterruptedRunError(TrainingError):
    """Ctrl-C; says what there is to go on from."""


class NonFiniteLossError(TrainingError):
    """The loss became NaN or infinite; the weights are lost."""
