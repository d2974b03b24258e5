"""One suite for every enclosure: the fake that other tests rely on, rss, and cgroup."""
