"""Python imports a module of this name when it starts; PYTHONPATH brings it to every child."""

import forbid_network

forbid_network.install()
