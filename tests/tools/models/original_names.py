"""Tensor names and shapes of VideoCrafter2 and LaVie checkpoints, of any size.

Written from the published structure and independent of the code under test; at real size they must
be the published lists (checked where those are at hand).
"""

from __future__ import annotations

from collections.abc import Iterator

Shape = tuple[int, ...]
Named = Iterator[tuple[str, Shape]]


def affine(name: str, *shape: int) -> Named:
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]


def attention(name: str, width: int, context: int) -> Named:
    yield f"{name}.to_q.weight", (width, width)
    yield f"{name}.to_k.weight", (width, context)
    yield f"{name}.to_v.weight", (width, context)
    yield from affine(f"{name}.to_out.0", width, width)


def feed_forward(name: str, width: int) -> Named:
    yield from affine(f"{name}.net.0.proj", 8 * width, width)
    yield from affine(f"{name}.net.2", width, 4 * width)


# --- VideoCrafter2 -------------------------------------------------------------------------------


def vc2_transformer(name: str, outer: int, inner: int, context: int, tail: Shape) -> Named:
    block = f"{name}.transformer_blocks.0"
    yield from affine(f"{name}.norm", outer)
    yield from affine(f"{name}.proj_in", inner, outer, *tail)
    yield from attention(f"{block}.attn1", inner, inner)
    yield from feed_forward(f"{block}.ff", inner)
    yield from attention(f"{block}.attn2", inner, context)
    for index in (1, 2, 3):
        yield from affine(f"{block}.norm{index}", inner)
    yield from affine(f"{name}.proj_out", outer, inner, *tail)


def vc2_resnet(name: str, inputs: int, outputs: int, embedding: int) -> Named:
    yield from affine(f"{name}.in_layers.0", inputs)
    yield from affine(f"{name}.in_layers.2", outputs, inputs, 3, 3)
    yield from affine(f"{name}.emb_layers.1", outputs, embedding)
    yield from affine(f"{name}.out_layers.0", outputs)
    yield from affine(f"{name}.out_layers.3", outputs, outputs, 3, 3)
    if inputs != outputs:
        yield from affine(f"{name}.skip_connection", outputs, inputs, 1, 1)
    for index, convolution in ((1, 2), (2, 3), (3, 3), (4, 3)):
        yield from affine(f"{name}.temopral_conv.conv{index}.0", outputs)
        leaf = f"{name}.temopral_conv.conv{index}.{convolution}"
        yield from affine(leaf, outputs, outputs, 3, 1, 1)


def vc2_attentions(name: str, width: int, context: int) -> Named:
    yield from vc2_transformer(f"{name}.1", width, width, context, ())
    yield from vc2_transformer(f"{name}.2", width, width, width, ())


def vc2_unet(
    channels: Shape, layers: int, attends: tuple[bool, ...], head: int, context: int
) -> Named:
    first, embedding = channels[0], 4 * channels[0]
    for branch in ("time_embed", "fps_embedding"):
        yield from affine(f"{branch}.0", embedding, first)
        yield from affine(f"{branch}.2", embedding, embedding)
    yield from affine("input_blocks.0.0", first, 4, 3, 3)
    yield from vc2_transformer("init_attn.0", first, 8 * head, 8 * head, (1,))
    skips, width, block = [first], first, 1
    for level, outputs in enumerate(channels):
        for _ in range(layers):
            yield from vc2_resnet(f"input_blocks.{block}.0", width, outputs, embedding)
            if attends[level]:
                yield from vc2_attentions(f"input_blocks.{block}", outputs, context)
            width, block = outputs, block + 1
            skips.append(width)
        if level < len(channels) - 1:
            yield from affine(f"input_blocks.{block}.0.op", width, width, 3, 3)
            block += 1
            skips.append(width)
    yield from vc2_resnet("middle_block.0", width, width, embedding)
    yield from vc2_attentions("middle_block", width, context)
    yield from vc2_resnet("middle_block.3", width, width, embedding)
    block = 0
    for level in reversed(range(len(channels))):
        outputs = channels[level]
        for index in range(layers + 1):
            name = f"output_blocks.{block}"
            yield from vc2_resnet(f"{name}.0", width + skips.pop(), outputs, embedding)
            if attends[level]:
                yield from vc2_attentions(name, outputs, context)
            if level and index == layers:
                child = 3 if attends[level] else 1
                yield from affine(f"{name}.{child}.conv", outputs, outputs, 3, 3)
            width, block = outputs, block + 1
    yield from affine("out.0", first)
    yield from affine("out.2", 4, first, 3, 3)


def ldm_resnet(name: str, inputs: int, outputs: int) -> Named:
    yield from affine(f"{name}.norm1", inputs)
    yield from affine(f"{name}.conv1", outputs, inputs, 3, 3)
    yield from affine(f"{name}.norm2", outputs)
    yield from affine(f"{name}.conv2", outputs, outputs, 3, 3)
    if inputs != outputs:
        yield from affine(f"{name}.nin_shortcut", outputs, inputs, 1, 1)


def ldm_middle(name: str, width: int) -> Named:
    yield from ldm_resnet(f"{name}.block_1", width, width)
    yield from affine(f"{name}.attn_1.norm", width)
    for part in ("q", "k", "v", "proj_out"):
        yield from affine(f"{name}.attn_1.{part}", width, width, 1, 1)
    yield from ldm_resnet(f"{name}.block_2", width, width)


def ldm_vae(channels: Shape, layers: int) -> Named:
    last, width = channels[-1], channels[0]
    yield from affine("encoder.conv_in", channels[0], 3, 3, 3)
    for level, outputs in enumerate(channels):
        for index in range(layers):
            yield from ldm_resnet(f"encoder.down.{level}.block.{index}", width, outputs)
            width = outputs
        if level < len(channels) - 1:
            yield from affine(f"encoder.down.{level}.downsample.conv", width, width, 3, 3)
    yield from ldm_middle("encoder.mid", last)
    yield from affine("encoder.norm_out", last)
    yield from affine("encoder.conv_out", 8, last, 3, 3)
    yield from affine("decoder.conv_in", last, 4, 3, 3)
    yield from ldm_middle("decoder.mid", last)
    width = last
    for level in reversed(range(len(channels))):
        for index in range(layers + 1):
            yield from ldm_resnet(f"decoder.up.{level}.block.{index}", width, channels[level])
            width = channels[level]
        if level:
            yield from affine(f"decoder.up.{level}.upsample.conv", width, width, 3, 3)
    yield from affine("decoder.norm_out", channels[0])
    yield from affine("decoder.conv_out", 3, channels[0], 3, 3)
    yield from affine("quant_conv", 8, 8, 1, 1)
    yield from affine("post_quant_conv", 4, 4, 1, 1)


def openclip_text(width: int, blocks: int, vocabulary: int) -> Named:
    yield "positional_embedding", (77, width)
    yield "text_projection", (width, width)
    yield "logit_scale", ()
    for index in range(blocks):
        name = f"transformer.resblocks.{index}"
        yield from affine(f"{name}.ln_1", width)
        yield f"{name}.attn.in_proj_weight", (3 * width, width)
        yield f"{name}.attn.in_proj_bias", (3 * width,)
        yield from affine(f"{name}.attn.out_proj", width, width)
        yield from affine(f"{name}.ln_2", width)
        yield from affine(f"{name}.mlp.c_fc", 4 * width, width)
        yield from affine(f"{name}.mlp.c_proj", width, 4 * width)
    yield "token_embedding.weight", (vocabulary, width)
    yield from affine("ln_final", width)


# --- LaVie ---------------------------------------------------------------------------------------


def sd_resnet(name: str, inputs: int, outputs: int, embedding: int) -> Named:
    yield from affine(f"{name}.norm1", inputs)
    yield from affine(f"{name}.conv1", outputs, inputs, 3, 3)
    yield from affine(f"{name}.time_emb_proj", outputs, embedding)
    yield from affine(f"{name}.norm2", outputs)
    yield from affine(f"{name}.conv2", outputs, outputs, 3, 3)
    if inputs != outputs:
        yield from affine(f"{name}.conv_shortcut", outputs, inputs, 1, 1)


def lavie_transformer(name: str, width: int, heads: int, context: int) -> Named:
    block = f"{name}.transformer_blocks.0"
    yield from affine(f"{name}.norm", width)
    yield from affine(f"{name}.proj_in", width, width, 1, 1)
    yield from attention(f"{block}.attn1", width, width)
    yield from attention(f"{block}.attn2", width, context)
    yield from attention(f"{block}.attn_temp", width, width)
    bias = f"{block}.attn_temp.time_rel_pos_bias.relative_attention_bias.weight"
    yield bias, (32, heads)
    yield f"{block}.attn_temp.rotary_emb.freqs", (16,)
    yield from feed_forward(f"{block}.ff", width)
    for norm in ("norm1", "norm2", "norm3", "norm_temp"):
        yield from affine(f"{block}.{norm}", width)
    yield from affine(f"{name}.proj_out", width, width, 1, 1)


def lavie_unet(channels: Shape, layers: int, heads: int, context: int) -> Named:
    first, embedding = channels[0], 4 * channels[0]
    yield from affine("conv_in", first, 4, 3, 3)
    yield from affine("time_embedding.linear_1", embedding, first)
    yield from affine("time_embedding.linear_2", embedding, embedding)
    skips, width, levels = [first], first, len(channels)
    for level, outputs in enumerate(channels):
        for index in range(layers):
            name = f"down_blocks.{level}"
            yield from sd_resnet(f"{name}.resnets.{index}", width, outputs, embedding)
            width = outputs
            if level < levels - 1:
                yield from lavie_transformer(f"{name}.attentions.{index}", width, heads, context)
            skips.append(width)
        if level < levels - 1:
            yield from affine(f"{name}.downsamplers.0.conv", width, width, 3, 3)
            skips.append(width)
    for index in (0, 1):
        yield from sd_resnet(f"mid_block.resnets.{index}", width, width, embedding)
    yield from lavie_transformer("mid_block.attentions.0", width, heads, context)
    for block, outputs in enumerate(reversed(channels)):
        name = f"up_blocks.{block}"
        for index in range(layers + 1):
            inputs = width + skips.pop()
            yield from sd_resnet(f"{name}.resnets.{index}", inputs, outputs, embedding)
            width = outputs
            if block:
                yield from lavie_transformer(f"{name}.attentions.{index}", width, heads, context)
        if block < levels - 1:
            yield from affine(f"{name}.upsamplers.0.conv", width, width, 3, 3)
    yield from affine("conv_norm_out", first)
    yield from affine("conv_out", 4, first, 3, 3)
