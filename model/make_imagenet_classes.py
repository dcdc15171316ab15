"""Prints imagenet_classes.inc: the names of the ImageNet-1k classes, from WordNet.

    make_imagenet_classes.py DATA_NOUN SYNSETS > imagenet_classes.inc

DATA_NOUN is WordNet 3.0's data.noun (Debian: wordnet-base, /usr/share/wordnet/data.noun); SYNSETS has the 1,000 WordNet
ids, one a line (PyPI's timm: timm/data/_info/imagenet_synsets.txt). An id is "n" and the synset's offset in data.noun.

A class is called by its synset's first lemma. Where several classes would be called the same, whatever the case of the
letters, each takes its first lemma that is no other class's; of those that have none, one alone keeps the name, and
several get what they are a kind of, in brackets.
"""
import argparse
import collections
import pathlib

LICENCE = """\
// The classes of ImageNet-1k (ILSVRC-2012), by class id, one a line: WordNet id, name, other lemmas of the synset. Made by
// make_imagenet_classes.py, which says how names are chosen, from WordNet 3.0, which comes with these words:
//
// This software and database is being provided to you, the LICENSEE, by Princeton University under the following license.
// By obtaining, using and/or copying this software and database, you agree that you have read, understood, and will comply
// with these terms and conditions.:
//
// Permission to use, copy, modify and distribute this software and database and its documentation for any purpose and
// without fee or royalty is hereby granted, provided that you agree to comply with the following copyright notice and
// statements, including the disclaimer, and that the same appear on ALL copies of the software, database and documentation,
// including modifications that you make for internal use or for distribution.
//
// WordNet 3.0 Copyright 2006 by Princeton University.  All rights reserved.
//
// THIS SOFTWARE AND DATABASE IS PROVIDED "AS IS" AND PRINCETON UNIVERSITY MAKES NO REPRESENTATIONS OR WARRANTIES, EXPRESS OR
// IMPLIED.  BY WAY OF EXAMPLE, BUT NOT LIMITATION, PRINCETON UNIVERSITY MAKES NO REPRESENTATIONS OR WARRANTIES OF
// MERCHANTABILITY OR FITNESS FOR ANY PARTICULAR PURPOSE OR THAT THE USE OF THE LICENSED SOFTWARE, DATABASE OR DOCUMENTATION
// WILL NOT INFRINGE ANY THIRD PARTY PATENTS, COPYRIGHTS, TRADEMARKS OR OTHER RIGHTS.
//
// The name of Princeton University or Princeton may not be used in advertising or publicity pertaining to distribution of
// the software and/or database.  Title to copyright in this software, database and any associated documentation shall at all
// times remain with Princeton University and LICENSEE agrees to preserve same.
"""


class Synset:
    """A line of data.noun (wndb(5WN))."""

    def __init__(self, line: str) -> None:
        self.id, _, _, count, *rest = line.split(" ")
        words = int(count, 16)
        self.lemmas = [lemma.replace("_", " ") for lemma in rest[:2 * words:2]]
        pointers = rest[2 * words + 1:]
        self.kinds = [pointers[i + 1] for i in range(len(pointers) - 1) if pointers[i] == "@"]  # What it is a kind of.


def read_synsets(path: pathlib.Path) -> dict[str, Synset]:
    synsets = (Synset(line) for line in path.read_text(encoding="ascii").splitlines() if not line.startswith("  "))
    return {synset.id: synset for synset in synsets}


def by_name(names: list[str]) -> dict[str, list[int]]:
    """Which classes each name is of, whatever the case of its letters."""
    found: dict[str, list[int]] = collections.defaultdict(list)
    for number, name in enumerate(names):
        found[name.casefold()].append(number)
    return found


def choose_names(classes: list[Synset], synsets: dict[str, Synset]) -> list[str]:
    classes_of_lemma = collections.Counter(lemma.casefold() for synset in classes for lemma in synset.lemmas)
    names = [synset.lemmas[0] for synset in classes]
    for same in [numbers for numbers in by_name(names).values() if len(numbers) > 1]:
        for number in same:
            own = [lemma for lemma in classes[number].lemmas if classes_of_lemma[lemma.casefold()] == 1]
            names[number] = own[0] if own else names[number]
    for same in [numbers for numbers in by_name(names).values() if len(numbers) > 1]:
        for number in same:
            names[number] += f" ({synsets[classes[number].kinds[0]].lemmas[0]})"
    assert all(len(numbers) == 1 for numbers in by_name(names).values())
    return names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_noun", type=pathlib.Path)
    parser.add_argument("synsets", type=pathlib.Path)
    given = parser.parse_args()
    synsets = read_synsets(given.data_noun)
    classes = [synsets[name.removeprefix("n")] for name in sorted(given.synsets.read_text(encoding="ascii").split())]
    print(LICENCE + 'R"(')
    for synset, name in zip(classes, choose_names(classes, synsets), strict=True):
        print(f"n{synset.id} " + ", ".join([name, *(lemma for lemma in synset.lemmas if lemma != name)]))
    print(')"')


if __name__ == "__main__":
    main()
