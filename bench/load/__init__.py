"""Load: schedules, the locust worker that carries them out, and the harness's side of it."""
