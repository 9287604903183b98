"""One-time passwords (RFC 2289, sha1), as a server keeps them."""
import hashlib
import struct


def folded(octets):
    words = struct.unpack(">5I", hashlib.sha1(octets).digest())
    return struct.pack("<2I", words[0] ^ words[2] ^ words[4], words[1] ^ words[3])


def password(phrase, seed, count):
    """What the calculator gives for the challenge "otp-sha1 count seed"."""
    octets = folded((seed.lower() + phrase).encode())
    for _ in range(count):
        octets = folded(octets)
    return octets


def entry(phrase, seed, count):
    """Dovecot's: the next challenge is for count - 1."""
    return "{OTP}sha1 %d %s %s" % (count, seed, password(phrase, seed, count).hex())
