"""The keys: one table for menus, tool tips, buttons and the help page (no Qt)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Key:
    """One thing the user can do.

    Attributes:
        action: Name of the action; the main window has a method for each.
        keys: Key sequences in Qt's words, the first is shown in menus.
        text: What it does.
        menu: Menu that it stands in.
        checkable: It is on or off.
    """

    action: str
    keys: tuple[str, ...]
    text: str
    menu: str
    checkable: bool = False


KEYS: tuple[Key, ...] = (
    Key("open_file", ("Ctrl+O",), "Open video, pictures or recording…", "File"),
    Key("open_folder", (), "Open folder of pictures…", "File"),
    Key("open_camera", ("Ctrl+Shift+O",), "Open camera…", "File"),
    Key("open_url", ("Ctrl+U",), "Open address…", "File"),
    Key("save_take", ("Ctrl+S",), "Save recording as…", "File"),
    Key("export_person", ("Ctrl+E",), "Export the selected person…", "File"),
    Key("load_settings", (), "Load settings…", "File"),
    Key("save_settings", (), "Save settings…", "File"),
    Key("preferences", ("Ctrl+,",), "Show the controls", "File"),
    Key("quit", ("Q", "Ctrl+Q"), "Quit", "File"),
    Key("play_pause", ("Space",), "Play or pause (live: freeze the view)", "Playback"),
    Key("step_back", ("Left", "K", ","), "One frame back", "Playback"),
    Key("step_forward", ("Right", "L", "."), "One frame forward", "Playback"),
    Key("step_back_10", ("Shift+Left",), "Ten frames back", "Playback"),
    Key("step_forward_10", ("Shift+Right",), "Ten frames forward", "Playback"),
    Key("back_1s", ("Ctrl+Left",), "One second back", "Playback"),
    Key("forward_1s", ("Ctrl+Right",), "One second forward", "Playback"),
    Key("to_start", ("Home",), "First frame", "Playback"),
    Key("to_end", ("End",), "Last frame", "Playback"),
    Key("record", ("R", "PgUp"), "Start or stop recording", "Record"),
    Key("snapshot", ("S", "PgDown"), "Save a picture of the view", "Record"),
    Key("stream", ("V",), "Start or stop the live streams", "Record", True),
    Key("stream_to", (), "Live streams…", "Record"),
    Key("view_overlay", ("1",), "Picture with skeletons", "View"),
    Key("view_scene", ("2",), "3D view", "View"),
    Key("view_both", ("3",), "Picture and 3D view", "View"),
    Key("toggle_heatmaps", ("4",), "Heat maps and affinity fields", "View", True),
    Key("toggle_mirror", ("M",), "Mirror the view", "View", True),
    Key("toggle_picture", ("B",), "Picture or black background", "View", True),
    Key("toggle_ids", ("I",), "Names of people", "View", True),
    Key("toggle_grid", ("G",), "Floor grid", "View", True),
    Key("toggle_angles", ("T",), "Joint angles as text", "View", True),
    Key("toggle_trails", ("Shift+T",), "Trails", "View", True),
    Key("scene_reset", ("0",), "3D view: reset", "View"),
    Key("scene_front", ("5",), "3D view: from the front", "View"),
    Key("scene_side", ("6",), "3D view: from the side", "View"),
    Key("scene_top", ("7",), "3D view: from above", "View"),
    Key("follow", ("Shift+F",), "3D view: follow the selected person", "View", True),
    Key("full_screen", ("F", "F11"), "Full screen", "View", True),
    Key("toggle_theme", ("Ctrl+L",), "Light or dark", "View"),
    Key("reset_layout", (), "Default layout", "View"),
    Key("next_person", ("Tab",), "Select the next person", "People"),
    Key("reset_ids", ("Ctrl+R",), "Forget everyone, start ids again", "People"),
    Key("rescale", ("Ctrl+B",), "Measure body sizes again", "People"),
    Key("threshold_down", ("[",), "Find more people (lower threshold)", "People"),
    Key("threshold_up", ("]",), "Find fewer people (higher threshold)", "People"),
    Key("calibrate", ("C",), "Camera and scale assistant…", "People"),
    Key("help", ("F1", "H", "?"), "Keys", "Help"),
    Key("edit_keys", (), "Change the keys…", "Help"),
    Key("about", (), "About", "Help"),
    Key("leave", ("Esc",), "Leave full screen, close help, or quit", "Help"),
)

#: Keys that act only where no text field has the focus.
SINGLE = frozenset(k for key in KEYS for k in key.keys if "+" not in k or k.startswith("Shift+"))

MENUS: tuple[str, ...] = ("File", "Playback", "Record", "View", "People", "Help")
