"""The simulated clouds: AWS, Cloudflare, random and TLS providers that implement `sandbox.provider.Provider`."""

from sandbox.clouds.clouds import Clouds, open_clouds

__all__ = ["Clouds", "open_clouds"]
