"""The simulated clouds: AWS, Cloudflare and random behind `sandbox.provider.Provider`, with a store of their own."""

from sandbox.clouds.clouds import Clouds, open_clouds

__all__ = ["Clouds", "open_clouds"]
