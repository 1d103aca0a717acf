"""The overlay of members and followers: who is where, who serves whom (R45). Pure."""

from dtvn.overlay.records import ADDRESS, AddressValue, address_of, book_id, signed_address

__all__ = ["ADDRESS", "AddressValue", "address_of", "book_id", "signed_address"]
