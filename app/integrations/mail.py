"""Sends one mail through the server of the settings, within a time."""

import smtplib
import socket
import ssl
import threading
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate

from app.domain.notifications import inert, one_line
from app.integrations.webhook import Answer
from app.settings import MailSettings


def compose(sender: str, receiver: str, subject: str, text: str, message_id: str, language: str) -> EmailMessage:
    """A text mail. Whatever the subject holds, it is one line; the receiver is an address that was checked.

    The Message-ID is made of the message's own, so that a mail that was sent twice is seen as one.
    """
    made = EmailMessage(policy=SMTP)
    made["From"] = Address("Berth", addr_spec=sender)
    made["To"] = Address(addr_spec=receiver)
    made["Subject"] = one_line(subject)
    made["Message-ID"] = f"<{message_id}@{sender.rpartition('@')[2]}>"
    made["Date"] = formatdate()
    made["Auto-Submitted"] = "auto-generated"
    made["Content-Language"] = language.replace("_", "-")
    made.set_content(text)
    return made


def send(settings: MailSettings, mail: EmailMessage, *, timeout: float = 10.0) -> Answer:
    """Hands it to the server. Raises nothing: what went wrong is in the answer."""
    if settings.host is None:
        return Answer(False, error="not_set_up")
    context = ssl.create_default_context()
    watch: threading.Timer | None = None
    try:
        if settings.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(settings.host, settings.port, timeout=timeout, context=context)
        else:
            server = smtplib.SMTP(settings.host, settings.port, timeout=timeout)
        watch = threading.Timer(timeout, _cut, [server])
        watch.daemon = True
        watch.start()
        try:
            if settings.security == "starttls":
                server.starttls(context=context)
            if settings.username is not None and settings.password is not None:
                server.login(settings.username, settings.password.get_secret_value())
            server.send_message(mail)
        finally:
            server.close()
        return Answer(True, 250)
    except smtplib.SMTPRecipientsRefused as error:
        code, said = next(iter(error.recipients.values()), (550, b""))
        return Answer(False, code, "status", inert(said))
    except smtplib.SMTPResponseException as error:
        text = error.smtp_error
        return Answer(False, error.smtp_code, "status", inert(text if isinstance(text, bytes) else text.encode()))
    except ssl.SSLError:
        return Answer(False, error="tls")
    except TimeoutError:
        return Answer(False, error="timeout")
    except socket.gaierror:
        return Answer(False, error="unresolved")
    except smtplib.SMTPException:
        return Answer(False, error="protocol")
    except OSError:
        return Answer(False, error="unreachable")
    finally:
        if watch is not None:
            watch.cancel()


def _cut(server: smtplib.SMTP) -> None:
    made = server.sock
    if made is not None:
        try:
            made.shutdown(socket.SHUT_RDWR)
        except OSError:
            return
