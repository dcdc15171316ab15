"""Certificate authorities made on the spot."""
import os
import types

import trustme


class Authority:
    """A certificate authority, its own file, and what it issues, written to files of the folder."""

    def __init__(self, folder):
        self._ca = trustme.CA()
        self.folder = folder
        self.folder.mkdir()
        self.file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def issue(self, name="localhost", folder=None, **options):
        """.cert, .key"""
        issued = self._ca.issue_cert(name, **options)
        files, folder = types.SimpleNamespace(), folder or self.folder
        for kind, pem in (("cert", b"".join(blob.bytes() for blob in issued.cert_chain_pems)),
                          ("key", issued.private_key_pem.bytes())):
            (folder / "new").write_bytes(pem)
            os.replace(folder / "new", folder / f"{name}.{kind}")
            setattr(files, kind, folder / f"{name}.{kind}")
        return files
