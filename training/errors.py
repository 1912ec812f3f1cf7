"""Everything that can go wrong before a version is published.

TrainingError
├── UsageError                 what was asked for cannot be done; the command ends with 2
│   ├── PresetNotFoundError    no preset of that name
│   ├── SettingError           an unknown key, or a value that does not fit it
│   ├── DataNotFoundError      the data set is not where it was looked for
│   └── DeviceError            the device is not on this machine
├── DataError                  the files are there and are not what they should be
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


class DataError(TrainingError):
    """The data set's files are there and are not what they should be."""


class NonFiniteLossError(TrainingError):
    """The loss became NaN or infinite; the weights are lost."""
