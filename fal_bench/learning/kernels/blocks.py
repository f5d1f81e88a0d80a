"""Kernels of a GPU for convolution blocks, in Triton: every one works on all lanes at once.

A block is a 3x3 convolution, batch normalisation, ReLU and 2x2 max-pooling. The kernels of one
small network leave most of a GPU idle; those of all clients of a round together fill it. Each
program works on one lane and its partition depends on the recipe alone, so that a lane has the same
bits in any company. Sums are kept in parts that are added in a fixed order, without atomics.

Maps that rise keep the order of pixels, so pooling comes right after the convolution, of maxima
where the scale of the normalisation is positive and of minima where it is negative. The
convolution's bias is left out: normalisation takes it away again.

Names in the kernels: ``edges`` (lanes, steps + 1) says where the batches of an epoch start and end,
``now`` is the number of the step; a lane without samples in a step is left as it is. Images are of
shape (lanes, n, H, W, C), a kernel's weights (lanes, 9, C_in, C_out). ``..._lane`` is how far the
next lane is. ``WIDE`` is the type of sums.
"""

# Triton's language has no types of its own, and its functions are read, not called.
# mypy: ignore-errors

from __future__ import annotations

import triton
import triton.language as tl

ROWS = tl.constexpr(32)
"""Rows of a tile of the kernels that are not matrix products."""


@triton.jit
def _batch(edges, now, steps):
    """Return the lane of a program, the first sample of its batch and the number of samples."""
    lane = tl.program_id(2).to(tl.int64)
    span = edges + lane * (steps + 1) + tl.load(now)
    first = tl.load(span)
    return lane, first, tl.load(span + 1) - first


@triton.jit
def fill(
    source, truths, plan, counts, images, labels, room, channels, height, width, BLOCK: tl.constexpr
):
    """Lay out an epoch: ``plan`` (lanes, room, 4) has a source, a flip, and a shift by (y, x)."""
    lane = tl.program_id(2).to(tl.int64)
    row = tl.program_id(0)
    if row >= tl.load(counts + lane):
        return
    own = plan + (lane * room + row) * 4
    sample = tl.load(own).to(tl.int64)
    flip = tl.load(own + 1)
    value = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    size = height * width * channels
    channel = value % channels
    x = (value // channels) % width
    y = value // (channels * width) - tl.load(own + 2)
    x = x - tl.load(own + 3)
    x = tl.where(flip != 0, width - 1 - x, x)
    inside = (value < size) & (y >= 0) & (y < height) & (x >= 0) & (x < width)
    pixels = tl.load(
        source + sample * size + (channel * height + y) * width + x, mask=inside, other=0.0
    )
    target = images + (lane * room + row) * size + value
    tl.store(target, pixels.to(images.dtype.element_ty), mask=value < size)
    if tl.program_id(1) == 0:
        tl.store(labels + lane * room + row, tl.load(truths + sample))


@triton.jit
def convolve(
    x, weight, y, edges, now, steps, height, width, x_lane, w_lane, y_lane,
    CI: tl.constexpr, CO: tl.constexpr, WO: tl.constexpr, EPOCH: tl.constexpr,
    BACKWARD: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
    PRECISION: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """Convolve x of CI channels to y of CO; backward, gradients of outputs to those of inputs.

    ``EPOCH`` says that x holds an epoch, and not a batch. ``WO`` is the outputs of the weights.
    """
    lane, first, samples = _batch(edges, now, steps)
    area = height * width
    total = samples * area
    if tl.program_id(0) * BM >= total:
        return
    x += lane * x_lane
    if EPOCH:
        x += first.to(tl.int64) * area * CI
    weight += lane * w_lane
    y += lane * y_lane
    pixel = tl.program_id(0) * BM + tl.arange(0, BM)
    out = tl.program_id(1) * BN + tl.arange(0, BN)
    image = pixel // area
    row = (pixel // width) % height
    column = pixel % width
    here = pixel < total
    result = tl.zeros([BM, BN], WIDE)
    if CI % BK == 0:
        for turn in range(9 * (CI // BK)):
            tap = turn // (CI // BK)
            channel = (turn % (CI // BK)) * BK + tl.arange(0, BK)
            yy, xx = row + tap // 3 - 1, column + tap % 3 - 1
            inside = here & (yy >= 0) & (yy < height) & (xx >= 0) & (xx < width)
            base = ((image * height + yy) * width + xx) * CI
            a = tl.load(x + base[:, None] + channel[None, :], mask=inside[:, None], other=0.0)
            if BACKWARD:
                where = ((8 - tap) * CO + out[None, :]) * WO + channel[:, None]
            else:
                where = (tap * CI + channel[:, None]) * WO + out[None, :]
            b = tl.load(weight + where, mask=(out < CO)[None, :], other=0.0)
            result = tl.dot(a, b, result, input_precision=PRECISION, out_dtype=WIDE)
    else:  # few channels: taps and channels are one axis
        for start in range(0, 9 * CI, BK):
            index = start + tl.arange(0, BK)
            tap, channel = index // CI, index % CI
            yy = row[:, None] + (tap // 3 - 1)[None, :]
            xx = column[:, None] + (tap % 3 - 1)[None, :]
            inside = here[:, None] & (index < 9 * CI)[None, :]
            inside = inside & (yy >= 0) & (yy < height) & (xx >= 0) & (xx < width)
            base = ((image[:, None] * height + yy) * width + xx) * CI + channel[None, :]
            a = tl.load(x + base, mask=inside, other=0.0)
            if BACKWARD:
                where = ((8 - tap)[:, None] * CO + out[None, :]) * WO + channel[:, None]
            else:
                where = (tap * CI + channel)[:, None] * WO + out[None, :]
            known = (index < 9 * CI)[:, None] & (out < CO)[None, :]
            b = tl.load(weight + where, mask=known, other=0.0)
            result = tl.dot(a, b, result, input_precision=PRECISION, out_dtype=WIDE)
    target = y + pixel[:, None] * CO + out[None, :]
    tl.store(target, result.to(y.dtype.element_ty), mask=here[:, None] & (out < CO)[None, :])


@triton.jit
def weigh(
    x, slopes, parts, edges, now, steps, height, width, x_lane, y_lane, splits,
    CI: tl.constexpr, CO: tl.constexpr, EPOCH: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
    BK: tl.constexpr, PRECISION: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """Compute the gradient of a kernel's weights, in parts (lanes, splits, 9 * CI, CO)."""
    lane, first, samples = _batch(edges, now, steps)
    if samples == 0:
        return
    area = height * width
    total = samples * area
    x += lane * x_lane
    if EPOCH:
        x += first.to(tl.int64) * area * CI
    slopes += lane * y_lane
    share = tl.cdiv(tl.cdiv(total, splits), BM) * BM
    begin = tl.program_id(1) * share
    end = tl.minimum(begin + share, total)
    columns = tl.cdiv(CO, BN)
    index = (tl.program_id(0) // columns) * BK + tl.arange(0, BK)
    out = (tl.program_id(0) % columns) * BN + tl.arange(0, BN)
    tap, channel = index // CI, index % CI
    whole = (tl.program_id(0) // columns) * BK // CI
    result = tl.zeros([BK, BN], WIDE)
    for start in range(begin, end, BM):
        pixel = start + tl.arange(0, BM)
        here = pixel < end
        image = pixel // area
        row = (pixel // width) % height
        column = pixel % width
        if CI % BK == 0:
            yy, xx = row + whole // 3 - 1, column + whole % 3 - 1
            inside = here & (yy >= 0) & (yy < height) & (xx >= 0) & (xx < width)
            base = ((image * height + yy) * width + xx) * CI
            a = tl.load(x + base[:, None] + channel[None, :], mask=inside[:, None], other=0.0)
        else:
            yy = row[:, None] + (tap // 3 - 1)[None, :]
            xx = column[:, None] + (tap % 3 - 1)[None, :]
            inside = here[:, None] & (index < 9 * CI)[None, :]
            inside = inside & (yy >= 0) & (yy < height) & (xx >= 0) & (xx < width)
            base = ((image[:, None] * height + yy) * width + xx) * CI + channel[None, :]
            a = tl.load(x + base, mask=inside, other=0.0)
        known = here[:, None] & (out < CO)[None, :]
        b = tl.load(slopes + pixel[:, None] * CO + out[None, :], mask=known, other=0.0)
        result = tl.dot(tl.trans(a), b, result, input_precision=PRECISION, out_dtype=WIDE)
    where = ((lane * splits + tl.program_id(1)) * 9 * CI + index[:, None]) * CO + out[None, :]
    tl.store(parts + where, result, mask=(index < 9 * CI)[:, None] & (out < CO)[None, :])


@triton.jit
def gather(
    parts, gradients, edges, now, steps, size, splits, g_lane, BLOCK: tl.constexpr,
    WIDE: tl.constexpr,
):  # fmt: skip
    """Add up the parts of a gradient of ``size`` numbers."""
    lane, _, samples = _batch(edges, now, steps)
    if samples == 0:
        return
    where = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    total = tl.zeros([BLOCK], WIDE)
    for split in range(splits):
        own = parts + (lane * splits + split) * size + where
        total += tl.load(own, mask=where < size, other=0.0)
    tl.store(gradients + lane * g_lane + where, total, mask=where < size)


@triton.jit
def pool(
    pixels, scale, pooled, winners, parts, edges, now, steps, height, width, channels, x_lane,
    p_lane, w_lane, rounds, BLOCK: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """Pool, remember which of four pixels won, and add up pixels and their squares, in parts."""
    lane, _, samples = _batch(edges, now, steps)
    if samples == 0:
        return
    across, down = (width + 1) // 2, (height + 1) // 2  # a last row or column joins no window
    windows = samples * across * down
    pixels += lane * x_lane
    pooled += lane * p_lane
    winners += lane * p_lane
    channel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    known = channel < channels
    negative = tl.load(scale + lane * w_lane + channel, mask=known, other=1.0) < 0
    total = tl.zeros([ROWS, BLOCK], WIDE)
    squares = tl.zeros([ROWS, BLOCK], WIDE)
    for turn in range(rounds):
        window = (tl.program_id(0) * rounds + turn) * ROWS + tl.arange(0, ROWS)
        column = window % across
        row = (window // across) % down
        image = window // (across * down)
        here = window < windows
        whole = here & (row < height // 2) & (column < width // 2)
        best = tl.full([ROWS, BLOCK], float("-inf"), WIDE)
        winner = tl.zeros([ROWS, BLOCK], tl.int8)
        for corner in tl.static_range(4):
            y, x = 2 * row + corner // 2, 2 * column + corner % 2
            there = (here & (y < height) & (x < width))[:, None] & known[None, :]
            place = ((image * height + y) * width + x) * channels
            value = tl.load(pixels + place[:, None] + channel[None, :], mask=there, other=0.0)
            value = value.to(WIDE)
            total += value
            squares += value * value
            signed = tl.where(negative[None, :], -value, value)
            better = (signed > best) | (signed != signed)  # a failed training stays visible
            winner = tl.where(better, tl.full([ROWS, BLOCK], corner, tl.int8), winner)
            best = tl.where(better, signed, best)
        chosen = tl.where(negative[None, :], -best, best)
        place = ((image * (height // 2) + row) * (width // 2) + column) * channels
        where = place[:, None] + channel[None, :]
        kept = whole[:, None] & known[None, :]
        tl.store(pooled + where, chosen.to(pooled.dtype.element_ty), mask=kept)
        tl.store(winners + where, winner, mask=kept)
    own = parts + (lane * tl.num_programs(0) + tl.program_id(0)) * 2 * channels + channel
    tl.store(own, tl.sum(total, 0), mask=known)
    tl.store(own + channels, tl.sum(squares, 0), mask=known)


@triton.jit
def _added(
    parts, lane, programs, channels, channel, known, BLOCK: tl.constexpr, WIDE: tl.constexpr
):
    """Return the sums of two rows of parts (lanes, programs, 2, channels)."""
    one = tl.zeros([ROWS, BLOCK], WIDE)
    other = tl.zeros([ROWS, BLOCK], WIDE)
    for start in range(0, programs, ROWS):
        program = start + tl.arange(0, ROWS)
        own = parts + (lane * programs + program)[:, None] * 2 * channels + channel[None, :]
        there = (program < programs)[:, None] & known[None, :]
        one += tl.load(own, mask=there, other=0.0)
        other += tl.load(own + channels, mask=there, other=0.0)
    return tl.sum(one, 0), tl.sum(other, 0)


@triton.jit
def moments_of_batch(
    parts, moments, running, bias, edges, now, steps, area, epsilon, momentum, channels, programs,
    r_lane, w_lane, BLOCK: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """Turn sums into mean and inverse deviation, (lanes, 2, channels); move the running ones."""
    lane, _, samples = _batch(edges, now, steps)
    if samples == 0:
        return
    count = (samples * area).to(WIDE)
    channel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    known = channel < channels
    total, squares = _added(parts, lane, programs, channels, channel, known, BLOCK, WIDE)
    mean = total / count
    variance = tl.maximum(squares / count - mean * mean, 0.0)
    own = moments + lane * 2 * channels + channel
    tl.store(own, mean, mask=known)
    tl.store(own + channels, 1.0 / tl.sqrt(variance + epsilon), mask=known)
    mean += tl.load(bias + lane * w_lane + channel, mask=known, other=0.0)
    variance *= count / tl.maximum(count - 1.0, 1.0)
    own = running + lane * 2 * r_lane + channel
    before = tl.load(own, mask=known, other=0.0)
    tl.store(own, before + momentum * (mean - before), mask=known)
    before = tl.load(own + r_lane, mask=known, other=0.0)
    tl.store(own + r_lane, before + momentum * (variance - before), mask=known)


@triton.jit
def moments_of_running(
    moments, running, bias, epsilon, channels, r_lane, w_lane, BLOCK: tl.constexpr
):
    """Take mean and inverse deviation from the running statistics, as evaluation does."""
    lane = tl.program_id(2).to(tl.int64)
    channel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    known = channel < channels
    own = running + lane * 2 * r_lane + channel
    mean = tl.load(own, mask=known, other=0.0)
    mean -= tl.load(bias + lane * w_lane + channel, mask=known, other=0.0)
    variance = tl.load(own + r_lane, mask=known, other=1.0)
    own = moments + lane * 2 * channels + channel
    tl.store(own, mean, mask=known)
    tl.store(own + channels, 1.0 / tl.sqrt(variance + epsilon), mask=known)


@triton.jit
def _map(scale, shift, moments, lane, w_lane, channels, channel, known):
    """Return scale, shift, mean and inverse deviation of channels."""
    return (
        tl.load(scale + lane * w_lane + channel, mask=known, other=0.0),
        tl.load(shift + lane * w_lane + channel, mask=known, other=0.0),
        tl.load(moments + lane * 2 * channels + channel, mask=known, other=0.0),
        tl.load(moments + (lane * 2 + 1) * channels + channel, mask=known, other=0.0),
    )


@triton.jit
def normalise(
    pooled, scale, shift, moments, active, edges, now, steps, area, channels, p_lane, w_lane,
    BLOCK: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """Normalise what was pooled, and apply ReLU."""
    lane, _, samples = _batch(edges, now, steps)
    rows = samples * area
    if tl.program_id(0) * ROWS >= rows:
        return
    channel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    known = channel < channels
    factor, offset, mean, inverse = _map(
        scale, shift, moments, lane, w_lane, channels, channel, known
    )
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    own = lane * p_lane + row[:, None] * channels + channel[None, :]
    there = (row < rows)[:, None] & known[None, :]
    value = tl.load(pooled + own, mask=there, other=0.0).to(WIDE)
    result = (value - mean[None, :]) * inverse[None, :] * factor[None, :] + offset[None, :]
    result = tl.where(result < 0, 0.0, result)  # unlike a maximum, this keeps NaN
    tl.store(active + own, result.to(active.dtype.element_ty), mask=there)


@triton.jit
def reduce(
    slopes, pooled, scale, shift, moments, parts, edges, now, steps, area, channels, p_lane, w_lane,
    rounds, BLOCK: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """Add up the gradients that pass ReLU, alone and times the normalised values, in parts."""
    lane, _, samples = _batch(edges, now, steps)
    if samples == 0:
        return
    rows = samples * area
    channel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    known = channel < channels
    factor, offset, mean, inverse = _map(
        scale, shift, moments, lane, w_lane, channels, channel, known
    )
    total = tl.zeros([ROWS, BLOCK], WIDE)
    slanted = tl.zeros([ROWS, BLOCK], WIDE)
    for turn in range(rounds):
        row = (tl.program_id(0) * rounds + turn) * ROWS + tl.arange(0, ROWS)
        where = lane * p_lane + row[:, None] * channels + channel[None, :]
        there = (row < rows)[:, None] & known[None, :]
        value = tl.load(pooled + where, mask=there, other=0.0).to(WIDE)
        slope = tl.load(slopes + where, mask=there, other=0.0).to(WIDE)
        normal = (value - mean[None, :]) * inverse[None, :]
        slope = tl.where(normal * factor[None, :] + offset[None, :] > 0, slope, 0.0)
        total += slope
        slanted += slope * normal
    own = parts + (lane * tl.num_programs(0) + tl.program_id(0)) * 2 * channels + channel
    tl.store(own, tl.sum(total, 0), mask=known)
    tl.store(own + channels, tl.sum(slanted, 0), mask=known)


@triton.jit
def slopes_of_map(
    parts, of_scale, of_shift, edges, now, steps, channels, programs, w_lane, BLOCK: tl.constexpr,
    WIDE: tl.constexpr,
):  # fmt: skip
    """Add the parts up: they are the gradients of scale and shift."""
    lane, _, samples = _batch(edges, now, steps)
    if samples == 0:
        return
    channel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    known = channel < channels
    total, slanted = _added(parts, lane, programs, channels, channel, known, BLOCK, WIDE)
    tl.store(of_shift + lane * w_lane + channel, total, mask=known)
    tl.store(of_scale + lane * w_lane + channel, slanted, mask=known)


@triton.jit
def spread(
    slopes, pixels, winners, scale, shift, moments, of_scale, of_shift, edges, now, steps, height,
    width, channels, x_lane, p_lane, w_lane, BLOCK: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """Turn the pixels of a convolution into their gradients, in place."""
    lane, _, samples = _batch(edges, now, steps)
    across, down = (width + 1) // 2, (height + 1) // 2
    windows = samples * across * down
    if tl.program_id(0) * ROWS >= windows:
        return
    count = (samples * height * width).to(WIDE)
    pixels += lane * x_lane
    slopes += lane * p_lane
    winners += lane * p_lane
    channel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    known = channel < channels
    factor, offset, mean, inverse = _map(
        scale, shift, moments, lane, w_lane, channels, channel, known
    )
    total = tl.load(of_shift + lane * w_lane + channel, mask=known, other=0.0) / count
    slanted = tl.load(of_scale + lane * w_lane + channel, mask=known, other=0.0) / count
    window = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = window % across
    row = (window // across) % down
    image = window // (across * down)
    here = window < windows
    whole = here & (row < height // 2) & (column < width // 2)
    place = ((image * (height // 2) + row) * (width // 2) + column) * channels
    kept = whole[:, None] & known[None, :]
    slope = tl.load(slopes + place[:, None] + channel[None, :], mask=kept, other=0.0).to(WIDE)
    winner = tl.load(winners + place[:, None] + channel[None, :], mask=kept, other=4)
    for corner in tl.static_range(4):
        y, x = 2 * row + corner // 2, 2 * column + corner % 2
        there = (here & (y < height) & (x < width))[:, None] & known[None, :]
        place = ((image * height + y) * width + x) * channels
        own = pixels + place[:, None] + channel[None, :]
        normal = (tl.load(own, mask=there, other=0.0).to(WIDE) - mean[None, :]) * inverse[None, :]
        passed = (winner == corner) & (normal * factor[None, :] + offset[None, :] > 0)
        through = tl.where(passed, slope, 0.0) - total[None, :] - normal * slanted[None, :]
        through *= (inverse * factor)[None, :]
        tl.store(own, through.to(pixels.dtype.element_ty), mask=there)


@triton.jit
def _kept(x, masks, row, feature, features, there, MASKED: tl.constexpr):
    """Return what dropout keeps of embeddings."""
    kept = tl.load(x + row[:, None] * features + feature[None, :], mask=there, other=0.0)
    if MASKED:
        mask = tl.load(masks + row[:, None] * features + feature[None, :], mask=there, other=0.0)
        kept = (kept * mask).to(kept.dtype)
    return kept


@triton.jit
def _logits(
    x, weight, bias, masks, row, here, category, known, features, classes, MASKED: tl.constexpr,
    BR: tl.constexpr, BF: tl.constexpr, BC: tl.constexpr, PRECISION: tl.constexpr,
    WIDE: tl.constexpr,
):  # fmt: skip
    """Return the logits of rows, -inf beyond the last class."""
    logits = tl.zeros([BR, BC], WIDE)
    for start in range(0, features, BF):
        feature = start + tl.arange(0, BF)
        there = here[:, None] & (feature < features)[None, :]
        a = _kept(x, masks, row, feature, features, there, MASKED)
        own = weight + feature[:, None] * classes + category[None, :]
        b = tl.load(own, mask=(feature < features)[:, None] & known[None, :], other=0.0)
        logits = tl.dot(a, b, logits, input_precision=PRECISION, out_dtype=WIDE)
    logits += tl.load(bias + category, mask=known, other=0.0)[None, :]
    return tl.where(known[None, :], logits, float("-inf"))


@triton.jit
def lose(
    x, weight, bias, masks, labels, slopes, losses, back, edges, now, steps, features, classes,
    x_lane, w_lane, room, batch, MASKED: tl.constexpr, BR: tl.constexpr, BF: tl.constexpr,
    BC: tl.constexpr, PRECISION: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """Compute cross-entropies, the slopes of the logits, and those of the embeddings (``back``)."""
    lane, first, samples = _batch(edges, now, steps)
    if tl.program_id(0) * BR >= samples:
        return
    x += lane * x_lane
    back += lane * x_lane
    weight += lane * w_lane
    masks += (lane * room + first) * features
    row = tl.program_id(0) * BR + tl.arange(0, BR)
    here = row < samples
    category = tl.arange(0, BC)
    known = category < classes
    logits = _logits(
        x, weight, bias + lane * w_lane, masks, row, here, category, known, features, classes,
        MASKED, BR, BF, BC, PRECISION, WIDE,
    )  # fmt: skip
    label = tl.load(labels + lane * room + first + row, mask=here, other=0)
    highest = tl.max(logits, 1)
    powers = tl.exp(logits - highest[:, None])
    powers = tl.where(known[None, :], powers, 0.0)
    sums = tl.sum(powers, 1)
    own = label[:, None] == category[None, :]
    chosen = tl.sum(tl.where(own, logits, 0.0), 1)
    tl.store(losses + lane * batch + row, highest + tl.log(sums) - chosen, mask=here)
    slope = (powers / sums[:, None] - own.to(WIDE)) / samples.to(WIDE)
    slope = tl.where(here[:, None], slope, 0.0).to(slopes.dtype.element_ty)
    target = slopes + (lane * batch + row)[:, None] * classes + category[None, :]
    tl.store(target, slope, mask=here[:, None] & known[None, :])
    for start in range(0, features, BF):
        feature = start + tl.arange(0, BF)
        there = here[:, None] & (feature < features)[None, :]
        where = weight + feature[None, :] * classes + category[:, None]
        b = tl.load(where, mask=(feature < features)[None, :] & known[:, None], other=0.0)
        through = tl.dot(slope, b, input_precision=PRECISION, out_dtype=WIDE)
        place = row[:, None] * features + feature[None, :]
        if MASKED:
            through *= tl.load(masks + place, mask=there, other=0.0)
        tl.store(back + place, through.to(back.dtype.element_ty), mask=there)


@triton.jit
def weigh_head(
    x, masks, slopes, losses, of_weight, of_bias, seen, edges, now, steps, features, classes,
    x_lane, g_lane, room, batch, MASKED: tl.constexpr, BR: tl.constexpr, BF: tl.constexpr,
    BC: tl.constexpr, PRECISION: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """Compute the gradients of the head, and add the batch's losses to ``seen`` (lanes,)."""
    lane, first, samples = _batch(edges, now, steps)
    if samples == 0:
        return
    x += lane * x_lane
    masks += (lane * room + first) * features
    feature = tl.program_id(0) * BF + tl.arange(0, BF)
    category = tl.arange(0, BC)
    known = category < classes
    weights = tl.zeros([BF, BC], WIDE)
    biases = tl.zeros([BC], WIDE)
    loss = tl.zeros([BR], WIDE)
    for start in range(0, samples, BR):
        row = start + tl.arange(0, BR)
        here = row < samples
        there = here[:, None] & (feature < features)[None, :]
        a = _kept(x, masks, row, feature, features, there, MASKED)
        own = slopes + (lane * batch + row)[:, None] * classes + category[None, :]
        b = tl.load(own, mask=here[:, None] & known[None, :], other=0.0)
        weights = tl.dot(tl.trans(a), b, weights, input_precision=PRECISION, out_dtype=WIDE)
        biases += tl.sum(b.to(WIDE), 0)
        loss += tl.load(losses + lane * batch + row, mask=here, other=0.0)
    target = of_weight + lane * g_lane + feature[:, None] * classes + category[None, :]
    tl.store(target, weights, mask=(feature < features)[:, None] & known[None, :])
    if tl.program_id(0) == 0:
        tl.store(of_bias + lane * g_lane + category, biases, mask=known)
        tl.store(seen + lane, tl.load(seen + lane) + tl.sum(loss, 0))


@triton.jit
def hit(
    x, weight, bias, labels, hits, edges, now, steps, features, classes, x_lane, w_lane, room,
    BR: tl.constexpr, BF: tl.constexpr, BC: tl.constexpr, PRECISION: tl.constexpr,
    WIDE: tl.constexpr,
):  # fmt: skip
    """Note which samples of a batch are classified correctly: 1 in ``hits`` (lanes, room)."""
    lane, first, samples = _batch(edges, now, steps)
    if tl.program_id(0) * BR >= samples:
        return
    row = tl.program_id(0) * BR + tl.arange(0, BR)
    here = row < samples
    category = tl.arange(0, BC)
    known = category < classes
    x += lane * x_lane
    logits = _logits(
        x, weight + lane * w_lane, bias + lane * w_lane, x, row, here, category, known, features,
        classes, False, BR, BF, BC, PRECISION, WIDE,
    )  # fmt: skip
    own = lane * room + first + row
    label = tl.load(labels + own, mask=here, other=0)
    right = tl.argmax(logits, 1) == label
    tl.store(hits + own, right.to(hits.dtype.element_ty), mask=here)


@triton.jit
def descend(
    weights, velocity, gradients, copies, rates, edges, now, steps, size, momentum, decay,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Move the parameters as ``torch.optim.SGD`` does, and their copies for the products."""
    lane, _, samples = _batch(edges, now, steps)
    if samples == 0:
        return
    rate = tl.load(rates + lane * steps + tl.load(now))
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = index < size
    own = lane * size + index
    weight = tl.load(weights + own, mask=inside, other=0.0)
    move = tl.load(velocity + own, mask=inside, other=0.0) * momentum
    move += tl.load(gradients + own, mask=inside, other=0.0) + decay * weight
    weight -= rate * move
    tl.store(velocity + own, move, mask=inside)
    tl.store(weights + own, weight, mask=inside)
    tl.store(copies + own, weight.to(copies.dtype.element_ty), mask=inside)
