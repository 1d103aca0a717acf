"""Times as those of the log are shown; Django's own form has neither seconds nor a zone."""

DATETIME_FORMAT = "Y-m-d H:i:s T"
