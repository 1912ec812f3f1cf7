"""One file per noun: parse, call, answer."""
