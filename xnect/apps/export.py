"""``xnect export``: Stage I as ONNX, in OpenVINO's form, or as the 8-bit network that the program itself loads."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from xnect.apps.options import Parser, dashed
from xnect.errors import ConfigError, OutputError, WeightsError

_SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "int8": ".zip"}


def main(argv: Sequence[str]) -> int:
    """Write the file; returns the exit code. Raises XnectError for what the user can mend."""
    parser = Parser(
        prog="xnect export",
        description="Write Stage I for other programs (onnx, openvino), or in eight bits for this one (int8). "
        "Input of all: uint8 BGR pictures (1, H, W, 3), sides multiples of 16; normalisation is inside.",
    )
    parser.add_argument("kind", choices=sorted(_SUFFIXES), help="onnx, openvino (.xml and .bin) or int8")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="weights file (default: the one that ships)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="file to write (default: beside the weights)")
    parser.add_argument(
        "--pictures", type=Path, metavar="DIR", help="int8: pictures to calibrate on, folder or zip (default: the clip)"
    )
    parser.add_argument("--int8", action="store_true", help="openvino: the 8-bit network")
    options = parser.parse_args(dashed(argv))
    from xnect.stages.executors.base import default_weights

    weights = options.weights or default_weights()
    output = options.output or weights.with_name(
        f"{weights.stem}{'.int8' * (options.kind == 'int8')}{_SUFFIXES[options.kind]}"
    )
    if output.suffix != _SUFFIXES[options.kind]:
        raise ConfigError(
            f"{options.kind} is written to a file that ends in {_SUFFIXES[options.kind]}, not {output.name}"
        )
    if not weights.is_file():
        raise WeightsError(f"cannot read weights {weights}: no such file")
    if options.pictures is not None and not options.pictures.exists():
        raise ConfigError(f"no pictures at {options.pictures}")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        _write(options.kind, weights, output, options.pictures, options.int8)
    except OSError as error:
        raise OutputError(f"cannot write {output}: {error.strerror or error}") from error
    sys.stdout.write(f"{output}\n")
    return 0


def _write(kind: str, weights: Path, output: Path, pictures: Path | None, int8: bool) -> None:
    from xnect.stages.executors import choose, convert, package

    if kind == "onnx":
        convert.write_onnx(weights, output)
    elif kind == "openvino":
        found = choose.int8_package(weights) if int8 else choose.float_package(weights)
        for path, data in ((output.with_suffix(".bin"), found.weights), (output, found.model)):
            part = path.with_name(path.name + ".part")
            part.write_bytes(data)
            part.replace(path)
    else:
        from xnect.stages.executors.quantise import clip_pictures, folder_pictures, quantised

        source = choose.float_package(weights)
        shown = clip_pictures() if pictures is None else folder_pictures(pictures, _trained_on(pictures))
        origin = "the bundled clip" if pictures is None else pictures.name
        package.save(quantised(source, shown, origin), output)


def _trained_on(pictures: Path) -> Callable[[str], bool]:
    """Of the training pictures, those that no choice is judged by; of any other folder, all."""
    if not (pictures / "train13.json").is_file():
        return lambda name: True
    from xnect.training.datasets.people import LSP_IDS, is_held_out, load_labels

    images = load_labels(pictures / "train13.json")["images"]
    names = {Path(i["file_name"]).stem for i in images if i["id"] < LSP_IDS and not is_held_out(i["id"])}
    return names.__contains__
