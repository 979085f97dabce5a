"""From live objects of a training library to frozen `Trajectory` records."""
