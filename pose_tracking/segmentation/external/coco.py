"""The classes of COCO (Lin et al., 2014): 80 that have data, numbered with gaps up to 90."""

from __future__ import annotations

from collections.abc import Sequence

# By category id from 1. Torchvision's and TensorFlow's networks have an output for each id, the unused ones too.
_BY_ID = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, , stop sign,
parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, , backpack, umbrella, , ,
handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard,
surfboard, tennis racket, bottle, , wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange,
broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, , dining table, , , toilet, , tv,
laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, , book, clock, vase,
scissors, teddy bear, hair drier, toothbrush
"""

# (90,) name of category i + 1, empty where COCO has none.
COCO_91: tuple[str, ...] = tuple(name.strip() for name in _BY_ID.replace("\n", " ").split(","))
# (80,) the names alone, in order: the classes of YOLO and detectron2.
COCO_80: tuple[str, ...] = tuple(name for name in COCO_91 if name)

_IDS = {name: number for number, name in enumerate(COCO_91, 1) if name}


def object_ids(names: Sequence[str]) -> list[int]:
    """Object id of each class name: COCO's category id where all names are COCO's, otherwise 1, 2, ...

    So that one thing has one id whichever detector finds it.
    """
    if all(name in _IDS for name in names):
        return [_IDS[name] for name in names]
    return list(range(1, len(names) + 1))
