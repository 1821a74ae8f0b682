"""A mail server on loopback, which keeps what it gets."""

import socketserver
import threading
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Self


@dataclass
class Mailbox:
    """Takes mails by SMTP (RFC 5321) on a free port of 127.0.0.1. `refusal` is what it answers to a recipient instead,
    such as `550 no such user`. A context manager."""

    refusal: str | None = None
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        mailbox = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self._say("220 ready")
                while line := self.rfile.readline().decode():
                    verb = line.split(" ")[0].strip().upper()
                    match verb:
                        case "RCPT" if mailbox.refusal:
                            self._say(mailbox.refusal)
                        case "RCPT":
                            mailbox.recipients.append(line.partition("<")[2].partition(">")[0])
                            self._say("250 ok")
                        case "DATA":
                            self._say("354 end with a dot")
                            mailbox.mails.append(self._read())
                            self._say("250 ok")
                        case "QUIT":
                            self._say("221 bye")
                            return
                        case _:
                            self._say("250 ok")

            def _say(self, line: str) -> None:
                self.wfile.write(f"{line}\r\n".encode())

            def _read(self) -> EmailMessage:
                lines: list[bytes] = []
                while (line := self.rfile.readline()) not in {b".\r\n", b""}:
                    lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
                return message_from_bytes(b"".join(lines), policy=policy.default)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="mail", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
