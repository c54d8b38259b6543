"""Groups of compliance controls, which rules name: ISO/IEC 27001:2022 Annex A, NIST SP 800-53 Rev. 5 and SOC 2.

A rule that holds is evidence for the controls of its group.
"""

from __future__ import annotations

from typing import Final

from policies.rule import Controls

NIST: Final = "NIST SP 800-53"
ISO: Final = "ISO/IEC 27001"
SOC2: Final = "SOC 2"

REDUNDANCY: Final[Controls] = {NIST: ("CP-7", "CP-10", "SC-36"), ISO: ("A.8.14",), SOC2: ("A1.2",)}
"""Redundant components in separate places."""
FAILOVER: Final[Controls] = {NIST: ("CP-10", "SI-13", "SC-24"), ISO: ("A.8.14", "A.5.30"), SOC2: ("A1.2",)}
"""Automatic failover."""
CHANGE: Final[Controls] = {NIST: ("CM-3", "MA-2"), ISO: ("A.8.32",), SOC2: ("CC8.1",)}
"""Changes without interruption."""
TRANSPORT: Final[Controls] = {NIST: ("SC-8", "SC-13"), ISO: ("A.8.24",), SOC2: ("CC6.7",)}
"""Encryption in transit."""
PEERS: Final[Controls] = {NIST: ("IA-3", "SC-8", "SC-23"), ISO: ("A.8.5", "A.8.20", "A.8.24"), SOC2: ("CC6.1", "CC6.7")}
"""Machines authenticate each other, and encrypt what they send."""
NAMES: Final[Controls] = {NIST: ("SC-20", "SC-22"), ISO: ("A.8.20", "A.8.21"), SOC2: ("CC6.6",)}
"""DNS and certificates that cannot be forged."""
MONITORING: Final[Controls] = {NIST: ("SI-4", "AU-6", "IR-6"), ISO: ("A.8.16",), SOC2: ("CC7.2", "CC7.3")}
"""Operators are notified."""
DISCLOSURE: Final[Controls] = {NIST: ("IR-6", "CP-2"), ISO: ("A.5.26",), SOC2: ("CC2.3", "CC7.4")}
"""Customers are notified."""
BACKUP: Final[Controls] = {NIST: ("CP-9",), ISO: ("A.8.13",), SOC2: ("A1.2",)}
"""Backups are made."""
RECOVERY: Final[Controls] = {NIST: ("CP-9", "CP-10"), ISO: ("A.8.13", "A.5.30"), SOC2: ("A1.2", "CC7.5")}
"""Data can be restored to a point in time."""
OFFSITE: Final[Controls] = {NIST: ("CP-6", "CP-6(1)", "CP-9(3)"), ISO: ("A.8.13", "A.8.14"), SOC2: ("A1.2",)}
"""Off-site copies."""
TESTING: Final[Controls] = {NIST: ("CP-4", "CP-9(1)"), ISO: ("A.5.30", "A.8.13"), SOC2: ("A1.3",)}
"""Backups are tested."""
INTEGRITY: Final[Controls] = {NIST: ("SI-7", "CP-9(1)"), ISO: ("A.8.13",), SOC2: ("A1.2", "PI1.5")}
"""Copies match their originals."""
AT_REST: Final[Controls] = {NIST: ("CP-9(8)", "SC-28"), ISO: ("A.8.24",), SOC2: ("CC6.1",)}
"""Encryption at rest."""
KEYS: Final[Controls] = {NIST: ("SC-12",), ISO: ("A.8.24",), SOC2: ("CC6.1",)}
"""Keys can be restored after a mistake."""
RETENTION: Final[Controls] = {NIST: ("SI-12", "CP-9"), ISO: ("A.8.10", "A.8.13"), SOC2: ("A1.2", "C1.2")}
"""Data is kept as long as documented, and no longer."""
ACCESS: Final[Controls] = {NIST: ("AC-6", "CP-9"), ISO: ("A.8.2", "A.8.3"), SOC2: ("CC6.3",)}
"""Least privilege."""
