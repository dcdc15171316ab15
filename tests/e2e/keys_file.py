"""Files of keys, made as operators make them."""
import os
import subprocess


class Keys:
    """A keys file, and the keys whose hashes are in it."""

    def __init__(self, hmar, file):
        self.hmar, self.file, self.keys, self.tables = hmar, file, {}, {}

    def add(self, name, *flags):
        made = subprocess.run([self.hmar, "key", "new", f"--name={name}", *flags], capture_output=True, text=True, check=True)
        self.keys[name] = made.stderr.strip().splitlines()[-1]
        self.tables[name] = made.stdout
        return self

    def write(self):
        """In place of what is there, as one."""
        new = self.file.with_suffix(".new")
        new.write_text("\n".join(self.tables.values()))
        os.replace(new, self.file)
        return self

    def of(self, name):
        """Metadata of a call."""
        return (("authorization", f"Bearer {self.keys[name]}"),)
