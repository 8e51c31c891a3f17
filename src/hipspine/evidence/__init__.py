"""Published figures, one claim each, with source and status; rules cite them by id."""
