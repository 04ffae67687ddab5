"""Training of the compact preset of HGM, one script per network; `training/JOBS.md` is the queue."""
