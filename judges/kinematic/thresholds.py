"""Every threshold of the judge in one place, each with the reason for its value.

Unit noise levels that the values are derived from: pixel noise of 5/255, H.264 at CRF 28 (ringing
of up to about 20/255 beside strong edges and colour bleeding over 2 px, as chroma has half the
resolution), and centre positions that are good to about a tenth of a pixel for things of >= 20 px.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Limits of the measurements; lengths in working pixels unless they say otherwise."""

    shortest_side: int = 64
    """Pictures are averaged down to this short side: four-fold less noise at 256 px, and lengths
    in pixels are the same share of every picture."""

    # --- segmentation, colours in 0..255
    edge_step: float = 10.0
    """A step between neighbours that ends a flat area: twice what a gradient over 64 px has."""
    edge_noises: float = 4.0
    """... or four times the backdrop's own texture."""
    plate_edge: float = 0.165
    """A flat area along a sixth of one side of the frame is wall, table or floor."""
    plate_area: float = 0.01
    """... if it also covers 1 % of the picture; less is a thing that is cut by the edge."""
    seam_reach: int = 2
    """Pixels on either side of a blurred edge between plates: CRF 28 and averaging down smear it
    over up to three."""
    thing_step: float = 28.0
    """A pixel belongs to a thing if a channel differs this much from the backdrop: above the
    ringing of CRF 28 (20) and five times the pixel noise of 5."""
    thing_noises: float = 5.5
    """... or this many times the measured noise, if that is more (one false pixel per 10^7)."""
    same_colour: float = 52.0
    """Euclidean distance in RGB within which pixels are of one colour: shading and chroma
    bleeding move a colour by up to 40, different colour names lie >= 90 apart."""
    flat_step: float = 25.0
    """Pixels that differ less from their neighbours show a thing's own colour."""
    flat_share: float = 0.0018
    """A colour must make up this share of the inner foreground pixels to be one of the palette:
    a thing of 20 flat pixels that is seen in four frames beside a pool of 1000,"""
    colour_share: float = 0.02
    """... and this share if none of them is flat."""
    max_colours: int = 10
    """Scenes of more colours are not what this judge is for."""
    rim_step: float = 40.0
    """Distance from the line between a thing's colour and the backdrop's within which a pixel at
    its rim is a mixture of the two; chroma bleeding moves it by up to 30."""
    tint_step: float = 30.0
    """A thin pixel so near to the line between the backdrop's colour and a bright one"""
    tint_share: float = 0.35
    """... that has at least this share of the bright one"""
    tint_chroma: float = 0.6
    """... and this part of that share's chroma is of its colour."""
    min_area: float = 6.0
    """Smallest blob in pixels: a 2 x 3 patch survives neither CRF 28 nor the noise filter."""

    # --- tracking
    reach: float = 1.2
    """A thing may move this many of its own sizes (square root of area) beyond what its last
    speed says and still be linked without question."""
    jump_size: float = 1.6
    """A blob further away continues a track only if its area is within this factor."""

    # --- parts of things
    part_share: float = 0.85
    """A colour is a rim or highlight if this share of its blobs lies on larger ones."""
    part_margin: int = 2
    """... whose box, grown by a rim's width, holds them,"""
    part_slip: float = 4.0
    """... and if it moves on them by no more than a highlight's own size,"""
    part_travel: float = 3.0
    """... while they move by more than this: walls keep their place on still water, too."""

    mixture_inner: float = 0.35
    """A colour found only in pieces with fewer inner pixels than this may be a mixture,"""
    mixture_step: float = 30.0
    """... if it lies this near to the line between the air's colour and a thing's."""
    mixture_hue: float = 0.05
    """... or has this hue but less colour: colour names lie 0.06 or more apart."""
    mixture_chroma: float = 25.0
    """... if it has any colour to speak of; greys have less, even beside bright things."""
    mixture_pale: float = 0.5
    """What shines through a rim (water, walls) has at most half the chroma of the thing."""
    line_chroma: float = 40.0
    """Lines (strings, rods, planks) are nearly grey: their largest channel exceeds the smallest
    by less than this,"""
    line_inner: float = 0.46
    """... and less than this share of their pixels is inner (a disc of radius 4 has 0.55)."""
    line_length: float = 5.0
    """Shorter pieces are specks: halos of chroma bleeding, not lines."""
    line_extent: float = 0.4
    """A grey piece that spans this share of the picture is a structure, too,"""
    line_filling: float = 0.5
    """... if it fills less than this share of its box: a plank with its stand."""
    line_share: float = 0.3
    """A colour that is thin in this share of its area is a structure as a whole."""
    fixture_textures: float = 8.0
    """Still structures differ from the air by so many standard deviations of its texture,"""
    fixture_covered: float = 0.15
    """... and look so but for this share of the frames."""
    fixture_seen: float = 0.7
    """A line that stays for this share of the frames is a still structure as well."""

    # --- contact
    hold_gap: float = 2.5
    """A line with so few empty pixels between holds or bears a thing."""
    touch: int = 2
    """Things with at most one empty pixel between them touch: rims are half a pixel wide on
    either side and the foreground mask loses the faintest edge pixels."""

    # --- motion
    step_seconds: float = 0.125
    """Accelerations are second differences over steps of this length, whatever the frame rate:
    long enough that gravity moves a thing by pixels, short enough to follow a bounce."""

    hung_share: float = 0.3
    """What hangs on a line in this share of its frames hangs in all of them."""

    # --- laws: free flight
    weakest_gravity: float = 0.25
    """Smallest believable gravity in picture heights per s^2: the picture is then 40 m high."""
    flight_gap: float = 2.5
    """A thing flies freely while this many pixels are empty around it: chroma bleeding hides up
    to two pixels of things that touch."""
    bounce_room: float = 1.2
    """... and what is empty at both ends of a step exceeds its path by this factor, as a thing
    may touch and leave a surface between two frames."""
    flight_error: float = 1.3
    """Largest deviation in pixels of a lawful flight from its parabola: six times the error of a
    centre under noise and CRF 28."""
    curvature_error: float = 1.7
    """Largest error in pixels of a second difference, which adds up four centre errors."""
    gravity_spread: float = 0.3
    """Relative error that the clip's own gravity may have when measured over few frames."""

    # --- laws: persistence
    thing_area: float = 12.0
    """Smallest thing in pixels whose coming and going counts; smaller ones may be noise."""
    thing_frames: int = 3
    """Fewest frames for which a thing must be seen to count."""
    absorb: float = 0.6
    """A thing that ends has merged with others of its colour if less than this share of its area
    went missing; rims of merged things lose up to a third."""
    gone_seconds: float = 0.12
    """A thing must stay away for longer than this to have vanished."""
    area_change: float = 1.55
    """Ratio of areas beyond which a thing has changed size: blur and CRF 28 move the rim by up to
    a pixel, 1.5 for a radius of 4."""
    jump: float = 6.0
    """Pixels by which a step differs from the mean of the steps before and after it: more than
    three times what an oscillation of 1 s and amplitude 10 px reaches at 8 fps."""
    jump_sizes: float = 0.6
    """... and at least this part of the thing's size."""
    whole_share: float = 0.9
    """A thing at the frame's edge with this share of its usual area is seen whole."""

    # --- laws: energy
    rolling: float = 1.5
    """Kinetic energy of a rolling disc over that of a sliding one: what may turn into height."""
    energy_share: float = 0.15
    """Gain relative to the energy in play that measuring errors of 7 % in speed explain."""
    height_error: float = 0.25
    """Pixels of height that a lawful thing may seem to gain where gravity is not known,"""
    tumbling_height: float = 1.0
    """... and where it is: a spinning thing of 10 px gains so much as its spin turns to height."""
    speed_error: float = 0.4
    """Pixels per stride by which a measured speed may be off: three times two centre errors."""
    strongest_gravity: float = 4.0
    """Largest believable gravity in picture heights per s^2: the picture is then 2.5 m high."""
    swing_growth: float = 1.04
    """Ratio of successive swings of a spring that is still lawful."""

    kink: float = 1.0
    """Change of vertical speed in px/frame from which a step on the ground hides a bounce."""
    pushing_step: float = 0.5
    """Pixels per frame from which a touching thing may give energy."""

    # --- laws: stopping
    calming_seconds: float = 0.5
    """A pendulum or spring cannot come to rest in this time"""
    last_swing: float = 4.0
    """... from a swing of more pixels than this."""
    landing_gap: float = 3.0
    """A thing that comes to so few pixels from a solid may have been stopped by it."""
    still: float = 0.45
    """Pixels within which a thing at rest seems to move."""
    still_seconds: float = 0.3
    """A thing that has not moved for so long is at rest."""
    stop_speed: float = 2.5
    """Pixels per stride from which a dead stop is told from the end of slowing down."""
    gaining_stop_speed: float = 1.5
    """... or, where the thing was still getting faster, from this speed,"""
    gaining_step: float = 0.1
    """... by more than this per step,"""
    stop_ratio: float = 2.5
    """A stop is sudden if the last speed is so many times the slowing before it."""

    # --- laws: impacts
    overlap: float = 0.35
    """Share of the smaller box that two things' boxes may have in common: discs that touch at
    45 degrees share 9 %, two cubes that lean 25 %."""
    box_filling: float = 0.5
    """... if the larger thing fills this share of its box: small balls with their rims have 0.54,
    triangles 0.45."""
    ramp_travel: float = 2.0
    """A ramp that things cover in part seems to move by less than this."""
    ramp_lean: float = 0.1
    """A still thing whose centre is off its box's middle by this share of the width is a ramp;
    a right triangle has 0.17."""
    sunk: float = 0.3
    """Share of a thing that may seem to lie within the floor: a rim of one pixel has 20 %."""
    hit_speed: float = 1.2
    """Pixels per stride from which an impact is looked at."""
    parting: float = 1.08
    """Ratio of parting to closing speed; 1 is the most that is lawful."""
    heavy: float = 2.5
    """A thing of so many times the other's size (six times the area) may stay where it is."""

    start_speed: float = 1.2
    """Pixels per stride from which a thing that was at rest has begun to move,"""
    start_rest: float = 0.35
    """... and pixels within which it was at rest, or keeps its height, before and while it does."""

    take_off: float = 2.0
    """Pixels per stride at which a thing rises from the ground beyond 1.2 times the speed at
    which it came down."""

    # --- kinds of things
    pool_share: float = 0.06
    """A still area this large between upright walls is water in a vessel."""
    pool_change: float = 1.3
    """Ratio of a pool's areas beyond which water is missing or added."""
    crowd: int = 3
    """So many things of one colour at once are followed as a row, not one by one."""
    member_loss: float = 0.65
    """A row that loses this share of one member's area in one step has lost the member."""
    member_standing: float = 0.6
    """A member stands while this share of the upper half of its place is covered."""
    member_delay: float = 0.6
    """Seconds after which a standing member must have been knocked over by a falling neighbour;
    a fall over a gap of half a height takes about 0.2 s."""

    # --- liquids
    stream_width: float = 6.5
    """Widest stream in pixels of a 64 px picture,"""
    stream_length: float = 7.0
    """... and the length from which it is one: tips of triangles and balls are shorter."""
    body_share: float = 0.5
    """A body of liquid is most of what has its colour at first: the largest of three dominoes is
    less, walls that took its colour leave it more."""
    body_rows: int = 3
    """Rows wider than a stream that are left of a body while it flows out."""
    liquid_loss: float = 0.7
    """Share of the liquid that must be seen at the end: walls hide up to a fifth of a cup."""
    liquid_gain: float = 1.4
    """... and share that may be."""

    # --- what can be judged at all
    min_frames: int = 6
    """Two steps before and after an event, and one for it."""
    min_side: int = 48
    """A thing of a tenth of the picture then still has 20 pixels."""
    min_seconds: float = 0.5
    """In less, a fall of one picture height in 1.5 s is a tenth of the height."""
    cut_share: float = 0.4
    """Things that follow one another cannot change so much of the picture in one frame."""
    moving_share: float = 0.12
    """... nor so much in every frame."""
    thing_share: float = 0.45
    """Things fill at most so much of the picture."""
    things_share: float = 0.22
    """... without the water in a vessel; the scenes that this judge is for have up to 0.12."""
    max_pieces: int = 15
    """Tracked pieces: a row of five dominoes that breaks up has up to 14, footage 20 or more."""
    scrap_area: float = 20.0
    """Pieces of fewer pixels are scraps,"""
    max_scraps: float = 8.0
    """... of which a simple scene shows up to 6 in a frame, footage often 10 to 20."""
    max_things: int = 12
    """More moving things cannot be told apart."""

    # --- looks
    large_area: float = 0.0165
    """Share of the picture from which a thing is large."""
    bar_order: float = 0.385
    """Two-cornered order of a bar of sides 1 : 1.5, from which a thing is a bar."""
    standing: float = 4.0
    """A thing that travels no further than this, as when something lands on it, stands."""
    square_order: float = 0.3
    """Four-cornered order half-way between a disc (0) and a square (0.6)."""
    triangle_order: float = 0.45
    """Three-cornered order above those of discs and squares (0; blocks of H.264 give up to 0.35)
    and below that of an equilateral triangle (0.8; 0.55 where H.264 rounds its corners)."""
    order_error: float = 0.07
    """Error of these orders at CRF 28: within it a thing may be either shape."""
    outermost: float = 1.6
    """Corners of an equilateral triangle or a bar of 1 : 2.6 lie so many radii of the disc of equal
    area from the centre; what lies further out is not part of the thing."""

    # --- water
    afloat_share: float = 0.3
    """A thing with no more than this share of its height below the surface weighs more than the
    water that it displaces, unless it is lighter than cork,"""
    afloat_lift: float = 0.5
    """... and cannot accelerate upward by more than this share of gravity."""
