"""From a results folder to tables, figures and a report: pure functions, no testbed, no root."""
