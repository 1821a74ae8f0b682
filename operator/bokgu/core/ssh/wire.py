"""The data types of RFC 4251 section 5, read in the one form that they are written in; and base64, likewise."""

import base64


class Reader:
    """Reads fields off the front of `data`. What is cut short or in another form than its own raises ValueError."""

    def __init__(self, data: bytes) -> None:
        self.data, self.position = data, 0

    def take(self, length: int) -> bytes:
        """So many bytes."""
        if length > len(self.data) - self.position:
            raise ValueError("it is cut short")
        self.position += length
        return self.data[self.position - length : self.position]

    def byte(self) -> int:
        """byte."""
        return self.take(1)[0]

    def uint32(self) -> int:
        """uint32."""
        return int.from_bytes(self.take(4), "big")

    def uint64(self) -> int:
        """uint64."""
        return int.from_bytes(self.take(8), "big")

    def string(self) -> bytes:
        """string, of any bytes."""
        return self.take(self.uint32())

    def text(self) -> str:
        """string, of printable UTF-8: names are shown to people, and OpenSSH ends them at a NUL."""
        text = self.string().decode()
        if not text.isprintable():
            raise ValueError(f"the name {text!r} is not printable")
        return text

    def mpint(self) -> int:
        """mpint, not negative and without needless zeros in front."""
        data = self.string()
        number = int.from_bytes(data, "big")
        if len(data) != (number.bit_length() // 8 + 1 if number else 0):
            raise ValueError("a number is negative or too long")
        return number

    def has_more(self) -> bool:
        """Whether something is left."""
        return self.position < len(self.data)

    def end(self) -> None:
        """Raise ValueError where something is left."""
        if self.has_more():
            raise ValueError("it has trailing bytes")


def write_string(data: bytes) -> bytes:
    """A string of RFC 4251."""
    return len(data).to_bytes(4, "big") + data


def decode_base64(text: str) -> bytes:
    """The bytes of canonical base64 with its padding (RFC 4648 section 3.5). Raises ValueError."""
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError("the base64 is not canonical")
    return data
