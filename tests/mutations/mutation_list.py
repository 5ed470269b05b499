"""The mistakes that the tests must notice, one a line."""

# ruff: noqa: E501
# fmt: off

from __future__ import annotations

from mutation import Mutation

SEARCH = (
    Mutation("a second consumer is not counted", "folding.search", "Search._others", "if len(asking) == len(uses):", "if True:"),
    Mutation("a tapped value is changed", "folding.search", "Search._pull", "if value.is_graph_output():", "if False:"),
    Mutation("an output's affine is dropped", "folding.search", "Search._lose", "if value.is_graph_output():", "if False:"),
    Mutation("a consumer is forgotten", "folding.search", "Search._lose", "flow, readers(value), value", "flow, readers(value)[:1], value"),
    Mutation("other readers keep what a value gained", "folding.search", "Search._pull", "if others:", "if False:"),
    Mutation("a node that reads a value twice asks for it once", "folding.search", "Search._asks", "len(asked) == uses and", "bool(asked) and"),
    Mutation("two ways may ask for different things", "folding.search", "Search._asks", "all(part.agrees(affine) for part in asked)", "True"),
    Mutation("other readers gain it once more", "folding.search", "Search._pull", "affine.inverse()", "affine"),
    Mutation("a value is scaled by what cannot be undone", "folding.search", "_can_be_undone", "if np.any(affine.scale == 0.0):", "if False:"),
    Mutation("half precision may scale what others read", "folding.search", "_can_be_undone", "value.dtype != ir.DataType.FLOAT16", "True"),
    Mutation("a pushed value keeps its name", "folding.search", "Search._run", "plan + Plan(changed=tuple(flow.values))", "plan"),
    Mutation("changed values keep their names", "folding.edits", "Editor.carry_out", "self.names.rename(plan.changed)", "pass"),
    Mutation("two affines join in the wrong order", "folding.edits", "_compose", 'if edit.side == "before":', 'if edit.side == "after":'),
    Mutation("a constant is replaced for all who read it", "folding.edits", "Editor._recompute", "edit.node.replace_input_with(edit.position, new)", "constant.value.replace_all_uses_with(new)"),
)

ALGEBRA = (
    Mutation("a first shift is not scaled by the second affine", "affine", "ChannelAffine.then", "after.scale * self.shift + after.shift", "self.shift + after.shift"),
    Mutation("a shift that comes first is not divided by the scale", "affine", "ChannelAffine.parted", "self.shift / divisor", "self.shift"),
    Mutation("an inverse keeps the scale", "affine", "ChannelAffine.inverse", "1.0 / self.scale", "1.0 * self.scale"),
    Mutation("constants broadcast from the left", "affine", "ChannelAffine.shaped", "(rank - 1 - self.axis)", "(rank - 2 - self.axis)"),
)

LINEAR = (
    Mutation("the shift is dropped behind a linear map", "lifting.linear", "LinearMap.after", "offset=scale * self.offset + shift", "offset=scale * self.offset"),
    Mutation("the bias is not scaled", "lifting.linear", "LinearMap.after", "offset=scale * self.offset + shift", "offset=self.offset + shift"),
    Mutation("the shift is dropped before a linear map", "lifting.linear", "LinearMap.before", "if affine.has_shift:", "if False:"),
    Mutation("columns are not scaled", "lifting.linear", "LinearMap.before", "columns=scale * self.columns", "columns=self.columns"),
    Mutation("rows replace the rows before", "lifting.linear", "LinearMap.after", "rows=scale * self.rows", "rows=scale"),
    Mutation("the groups of a transposed conv are forgotten", "lifting.layout", "Layout.canonical", "if self.transposed:", "if False:"),
    Mutation("the groups of a weight are swapped", "lifting.layout", "Layout.canonical", "return flat.reshape(self.group, out // self.group, inner, -1)", "return flat.reshape(out // self.group, self.group, inner, -1).swapaxes(0, 1)"),
    Mutation("a transposed conv has as many outputs as one of its groups", "lifting.layout", "Layout.outputs", "(self.group if self.transposed else 1)", "1"),
    Mutation("alpha is ignored", "lifting.linear", "_read_gemm", 'gain=node.attributes.get_float("alpha", 1.0)', "gain=1.0"),
    Mutation("beta is ignored", "lifting.linear", "_read_gemm", '* node.attributes.get_float("beta", 1.0)', "* 1.0"),
    Mutation("a transposed factor is taken as it is", "lifting.linear", "_read_gemm", "out_axis = int(on_left == transposed)", "out_axis = int(not on_left)"),
    Mutation("a bias per row is taken for one per column", "lifting.linear", "_bias_vector", "if any(n != 1 for i, n in enumerate(aligned.shape) if i != axis):", "if False:"),
    Mutation("a batch of matrices is one matrix", "lifting.linear", "_read_matmul", "any(n != 1 for n in shape[:-2])", "False"),
    Mutation("the channels of a left product are its columns", "lifting.linear", "_read_matmul", "output_axis=rank - 2 if on_left else rank - 1", "output_axis=rank - 1"),
    Mutation("zero padding is ignored", "folding.rules.takers", "_absorbed", "not is_after and affine.has_shift and linear.pads_with_zeros", "False"),
    Mutation("automatic padding is ignored", "lifting.linear", "LinearMap.pads_with_zeros", 'if automatic in ("SAME_UPPER", "SAME_LOWER"):', "if False:"),
    Mutation("the border of a transposed conv is ignored", "lifting.linear", "LinearMap.pads_with_zeros", 'if self.op_type == "ConvTranspose":', "if False:"),
    Mutation("constants along any axis are taken", "folding.rules.takers", "_absorbed", "if affine.axis not in (None, axis):", "if False:"),
    Mutation("half precision may overflow", "folding.fitting", "check_linear", "if limits.overflows(now):", "if False:"),
    Mutation("half precision may lose a channel", "folding.fitting", "check_linear", "if limits.vanishes(now[~limits.vanishing(was)]):", "if False:"),
)

LIFT = (
    Mutation("every constant runs along axis 1", "lifting.channel", "channel_constant", "return ChannelConstant(offset + axis,", "return ChannelConstant(1,"),
    Mutation("constants are aligned from the left", "lifting.channel", "channel_constant", "offset = rank - array.ndim", "offset = 0"),
    Mutation("an input may be broadcast up", "lifting.channel", "channel_constant", "if length != 1 and known != length:", "if False:"),
    Mutation("c - x is read as x - c", "lifting.elementwise", "_affine", 'if op_type == "Sub" and constant_first:', "if False:"),
    Mutation("c / x is read as x / c", "lifting.elementwise", "read_elementwise", 'if node.op_type == "Div" and constant_first:', "if False:"),
    Mutation("a division is read as a product", "lifting.elementwise", "_affine", "return ChannelAffine.of(axis, scale=1.0 / c)", "return ChannelAffine.of(axis, scale=c)"),
    Mutation("a subtraction is read as an addition", "lifting.elementwise", "_affine", '-c if op_type == "Sub" else c', "c"),
    Mutation("a batch norm in training mode is folded", "lifting.batchnorm", "read_batch_norm", "if training:", "if False:"),
    Mutation("eps is dropped", "lifting.batchnorm", "read_batch_norm", "variance + epsilon", "variance"),
    Mutation("the mean is dropped", "lifting.batchnorm", "read_batch_norm", "beta - centred", "beta"),
    Mutation("a bias along another axis is the product's", "lifting.runs", "_join_bias", "if lifted.affine.axis not in (None, linear.output_axis):", "if False:"),
    Mutation("a run goes on past a value that the graph gives", "lifting.runs", "_following", " or y.is_graph_output()", ""),
)

PASSES = (
    Mutation("padded zeros that an average counts are ignored", "folding.rules.guards", "refuse_lost_average", "(pads or overhangs) and", "False and"),
    Mutation("automatic padding of an average is ignored", "folding.rules.guards", "refuse_lost_average", "pads = explicit or", "pads = explicit and"),
    Mutation("dropped dimensions are taken for kept ones", "folding.rules.channels", "_kept_axes", 'if at.node.attributes.get_int("keepdims", 1):', "if True:"),
    Mutation("the parts of a concat are swapped", "folding.rules.joins", "Together.backward", "zip(places, parts, strict=True)", "zip(places, parts[::-1], strict=True)"),
    Mutation("a part of a concat lands at its front", "folding.rules.joins", "Together.forward", "embed(((affine, parts[place])", "embed(((affine, parts[place] - parts[place][0])"),
    Mutation("one input of a concat speaks for all", "folding.rules.joins", "Together.forward", "zip(others, repeat(_undo(at, first)))", "()"),
    Mutation("DCR and CRD are mixed up", "folding.rules.blocks", "_groups", '== "CRD"', '== "DCR"'),
    Mutation("channels joined by space to depth need not agree", "folding.rules.blocks", "_Blocks._moved", "if not np.all(same):", "if False:"),
    Mutation("a channel gathered twice takes the last constants", "folding.rules.parts", "_Selected.back", "if not np.all(same):", "if False:"),
    Mutation("every part of a split is its first", "folding.rules.parts", "_Selected._index", "return parts[at.output]", "return parts[0]"),
    Mutation("a split along positions speaks for all parts", "folding.rules.parts", "_Selected.back", "if several:", "if False:"),
    Mutation("a slice forgets its step", "folding.rules.parts", "_Selected._index", "python_slice(*slices[axis], length)", "slice(*slices[axis][:2])"),
    Mutation("a gather of one index drops no axis", "folding.rules.parts", "_Selected._output_axis", "else axis + spread - 1", "else axis"),
    Mutation("both branches of a sum take the shift", "folding.rules.joins", "Sum._shared", "scale = affine.only_scale()", "scale = affine"),
    Mutation("one branch of a sum takes the scale twice", "folding.rules.joins", "Sum._shared", "scale = affine.only_scale()", "scale = affine.only_scale().then(affine.only_scale())"),
    Mutation("the subtracted branch takes the shift as it is", "folding.rules.joins", "_Join._pull", "part.shift_times(self._weight(place))", "part"),
    Mutation("a subtracted shift goes on as it is", "folding.rules.joins", "_Join._total", "part = part.shift_times(self._weight(place))", "pass"),
    Mutation("of two branches that lost a shift one is forgotten", "folding.rules.joins", "_Join._total", ".then(part.only_shift())", ""),
    Mutation("two branches lose different scales", "folding.rules.joins", "_Join._total", "np.all(total.scale == part.scale)", "True"),
    Mutation("a product loses the scale of one factor", "folding.rules.joins", "Product.forward", "product = product.then(out)", "product = out"),
    Mutation("two choices lose different shifts", "folding.rules.joins", "Choice.forward", "elif all(first.agrees(affine) for affine in rest)", "elif True"),
    Mutation("of two parts that lost an affine one is forgotten", "folding.rules.parts", "embed", "for affine, index in parts:", "for affine, index in list(parts)[:1]:"),
    Mutation("a sum's other branch does not take the shift", "folding.rules.joins", "Sum.forward", "_undo(at, out).shift_times(-1.0)", "_undo(at, out)"),
    Mutation("the other branch is not divided", "folding.rules.joins", "Sum.forward", "partial(self._shared, at, None, others, undo, out)", "partial(self._shared, at, None, [], undo, out)"),
    Mutation("a scaled divisor is passed", "folding.rules.joins", "Product.forward", "if place not in self._places(node):", "if False:"),
    Mutation("the other choice keeps what it was", "folding.rules.joins", "Choice.forward", "if place not in lost]", "if False]"),
    Mutation("bounds for all channels pass constants per channel", "folding.rules.bounds", "moved", "np.any(new != new[0])", "False"),
    Mutation("repeated channels share constants", "folding.rules.channels", "_Broadcast.back", "if axis is None or static_dim(x.shape, axis) != affine.channels:", "if axis is None:"),
    Mutation("a padding value goes the wrong way", "folding.rules.through", "Through._undone_bounds", "moved(at, bounds, affine.inverse())", "moved(at, bounds, affine)"),
    Mutation("a part comes back to the node that leaves", "folding.search", "Search._pull", "if node is self._leaving or value in self._open:", "if False:"),
    Mutation("a padding value stays", "folding.rules.bounds", "moved", "if np.all(new == value):", "if True:"),
    Mutation("a transpose is undone by itself", "folding.rules.rearranged", "undo", "[(perm or []).index(i) for i in range(len(perm or []))]", "perm or []"),
    Mutation("a way that leads elsewhere leads nowhere", "folding.tidy", "_is_undone", "return perm == sorted(perm or ())", "return True"),
    Mutation("any shape is the one before", "folding.tidy", "_is_same_size", "return not open_", "return True"),
    Mutation("an affine keeps its axis on a detour", "folding.tidy", "_moved", "spread = undone", "pass"),
    Mutation("an output takes another's name", "lifting.rewire", "rename_to", "value.is_graph_output()", "False"),
    Mutation("dynamic dimensions match by their number", "folding.axes", "_match", "while size_i != size_j:", "while size_i.number != size_j.number:"),
    Mutation("a value is rearranged although something else reads it", "folding.rules.rearranged", "_is_inner", "return len(readers(value)) == 1 and not value.is_graph_output()", "return True"),
)

RUN_TIME = (
    Mutation("a reader of shapes is all readers", "lifting.readers", "_reads_no_number", 'node.op_type in ("Shape", "Size")', 'node.op_type not in ("Add", "Mul")'),
    Mutation("two ways to one padding count once", "folding.fitting", "_check_several", " or len(set(places)) < len(places)", ""),
    Mutation("a constant met twice is taken from its first place", "folding.search", "_recompute", "places[min(occurrence, len(places) - 1)]", "places[0]"),
)

LOWER = (
    Mutation("a batch norm stands for constants along any axis", "lowering.affine", "_cheapest", "affine.axis == 1 and", "affine.axis is not None and"),
    Mutation("what is left loses its shift", "lowering.affine", "_cheapest", "if not affine.has_shift:", "if True:"),
    Mutation("the scale and the shift of what is left are swapped", "lowering.affine", "_Constants.of", 'if op_type == "Mul" else', 'if op_type == "Add" else'),
    Mutation("constants are rounded in single precision", "folding.initializers", "Initializers.add", "array.astype(dtype.numpy())", "array.astype(np.float32).astype(dtype.numpy())"),
    Mutation("two constants that follow one tensor are one", "folding.initializers", "Initializers.add", "digest = hashlib.sha256(rounded.tobytes()).digest()", 'digest = b""'),
    Mutation("Gemm's factors are applied twice", "lowering.linear", "_nodes", 'linear.op_type == "Gemm" and', "False and"),
    Mutation("a left product's bias runs along its columns", "lifting.linear", "LinearMap.stored_bias", "return vector.reshape(-1, 1)", "return vector"),
    Mutation("weights are rounded twice", "lowering.weight", "FoldedWeight._fold", "exact.astype(self.dtype.numpy())", "exact.astype(np.float16).astype(self.dtype.numpy())"),
    Mutation("one weight that takes two scales is stored once", "lowering.weight", "FoldedWeight.key", "linear.rows.tobytes(), ", ""),
    Mutation("the derivation is not compared", "lowering.derive", "_Allowed.holds", "np.all(error <= allowed)", "True"),
    Mutation("the derivation counts a group's channels from 0", "lowering.derive", "_channels", "index + _along(group * length, divided, rank)", "index + 0 * _along(group, divided, rank)"),
    Mutation("the derivation leaves a slab's place out", "lowering.derive", "_cut", "else index[where]", "else index[where][::-1]"),
    Mutation("an interface name is changed", "lifting.rewire", "_stand_in", "x.name = y.name", "pass"),
)

MERGES = (
    Mutation("strides of parallel branches may differ", "folding.merges.geometry", "Axis.union", "self.stride != other.stride or", ""),
    Mutation("margins of parallel branches may differ", "folding.merges.geometry", "Axis.union", "or self.margin != other.margin", ""),
    Mutation("a merged kernel grows on one side only", "folding.merges.geometry", "Axis.union", "begin = max(self.begin, other.begin)", "begin = self.begin"),
    Mutation("a branch lies at the front of the merged kernel", "folding.merges.kernel", "_places", "(all_.begin - own.begin) // all_.dilation", "0"),
    Mutation("a branch that something else reads is merged", "folding.merges.parallel", "_link_of", "if len(value.uses()) != 1 or value.is_graph_output():", "if False:"),
    Mutation("a group on the diagonal is misplaced", "folding.merges.kernel", "_regrouped", "wide[:, position, :, position]", "wide[:, position, :, 0]"),
    Mutation("the biases of merged branches are dropped", "folding.merges.kernel", "Kernel.added", "offset, magnitude = offset + part.offset, magnitude + part.magnitude", "pass"),
    Mutation("the identity is added once however often it occurs", "folding.merges.parallel", "_merged", "[_unit(group.footprint)] * identities", "[_unit(group.footprint)] * min(identities, 1)"),
    Mutation("parallel kernels need not be cheaper as one", "folding.merges.parallel", "_Group.joined_by", "if 2 * union.weights > before:", "if False:"),
    Mutation("a merged weight may overflow", "folding.merges.merged", "misfit", "if limits.overflows(rows):", "if False:"),
    Mutation("a merged channel may vanish", "folding.merges.merged", "misfit", "if limits.vanishes(rows[~limits.vanishing(was)]):", "if False:"),
    Mutation("a merged bias may overflow", "folding.merges.merged", "misfit", "if limits.overflows(merged.offset):", "if False:"),
    Mutation("padded zeros are what a bias gives", "folding.merges.chain", "Chain.footprint", "if own.pads and has_offset:", "if False:"),
    Mutation("padded zeros are what the first would see before its start", "folding.merges.geometry", "Axis.pads_as", "first.span - first.begin < first.stride", "True"),
    Mutation("padded zeros are what the first would see past its end", "folding.merges.geometry", "Axis.pads_as", "first.end >= first.span", "True"),
    Mutation("the stride of the first does not spread the second's taps", "folding.merges.geometry", "Axis.after", "first.stride * self.span + first.span", "self.span + first.span"),
    Mutation("the padding of the second is not spread", "folding.merges.geometry", "Axis.after", "first.end + first.stride * self.end", "first.end + self.end"),
    Mutation("a sequence forgets the first bias", "folding.merges.kernel", "Kernel._of_offset", "passed.ravel() + self.offset", "self.offset"),
    Mutation("groups in sequence are paired wrongly", "folding.merges.kernel", "_product", "columns = second.reshape(group, out, ratio, -1).swapaxes(1, 2)", "columns = second.reshape(group, out, -1, ratio).transpose(0, 3, 1, 2)"),
    Mutation("a middle that something else reads is merged away", "folding.merges.sequence", "_before", "if h is None or h.is_graph_output() or len(h.uses()) != 1:", "if h is None:"),
    Mutation("a sequence need not be cheaper as one", "folding.merges.sequence", "_dearer", "if after.flops <= before.flops and after.bytes <= before.bytes:", "if True:"),
    Mutation("a sequence may take more bytes", "folding.merges.sequence", "_dearer", "and after.bytes <= before.bytes", ""),
    Mutation("a shared weight is counted as freed", "folding.merges.storage", "Storage.freed", "users[key := _stored_as(linear)] >= self._users[key]", "(key := _stored_as(linear)) or True"),
    Mutation("what a stride skips is not counted", "folding.merges.chain", "Chain.flops", "link.flops * _positions_of(self.links[i:])", "link.flops"),
    Mutation("products of other axes are one product", "folding.merges.matrices", "follows", "return first.output_axis == second.input_axis", "return True"),
    Mutation("a product is taken in the wrong order", "folding.merges.matrices", "product_of", "left, right = _matrix(second), _matrix(first)", "left, right = _matrix(first), _matrix(second)"),
    Mutation("a merged gemm forgets that its input is turned", "folding.merges.matrices", "_attributes", "transposed = int(input_axis == 1) if on_left else int(input_axis == 0)", "transposed = 0"),
    Mutation("a product forgets the first bias", "folding.merges.matrices", "product_of", "left @ first.offset + second.offset", "second.offset"),
    Mutation("an average that ignores padding is a kernel", "folding.merges.links", "_pool_axes", "return None if padded and not counted else axes", "return axes"),
    Mutation("an average's windows may hang over the end", "folding.merges.links", "_pool_axes", "if axes is None or overhangs:", "if axes is None:"),
    Mutation("an average is a sum", "folding.merges.links", "_AveragePool.kernel", "1.0 / math.prod(self.footprint.kernel)", "1.0"),
    Mutation("a Pad with any value is a Conv's padding", "folding.merges.pads", "spatial_zeros", "or _value(node, constants) != 0.0:", ":"),
    Mutation("a Pad of the channels is a Conv's padding", "folding.merges.pads", "spatial_zeros", "if pairs[:2] != [(0, 0), (0, 0)]:", "if False:"),
    Mutation("a Pad with axes pads all", "folding.merges.pads", "_axes", "return None if array is None else [int(n) % rank for n in array]", "return list(range(rank))[-2:]"),
    Mutation("a Pad that the graph gives goes into its Conv", "folding.merges.padding", "find_padding", "if pad is None or padded.is_graph_output():", "if pad is None:"),
    Mutation("one reader of a Pad speaks for all", "folding.merges.padding", "find_padding", "if not links or len(links) < len(readers):", "if not links:"),
    Mutation("what a node that left still reads is dropped", "lifting.dead", "_lent", "if lifted is not None:", "if False:"),
)

NORMALIZERS = (
    Mutation("a normaliser's scale and shift are left behind and given away", "folding.engine", "_Folding._give_away", "set_normalizer(node, normalizer.bare())", "pass"),
    Mutation("a normaliser puts what it takes before what it has", "lifting.normalizer", "Normalizer.then", "self.affine.then(affine)", "affine.then(self.affine)"),
    Mutation("a bare normaliser forgets that it changed", "lifting.normalizer", "Normalizer.is_changed", "self.given or bool(self.taken)", "bool(self.taken)"),
    Mutation("a scale of a group is one of a channel", "lifting.normalizer", "_Place.read", "np.repeat(array.reshape(-1), self.repeats)", "np.tile(array.reshape(-1), self.repeats)"),
    Mutation("a group's scale takes one for each channel", "folding.rules.takers", "_reason", "if np.any(groups != groups[:, :, :1]):", "if False:"),
    Mutation("one number of many speaks for several axes", "lifting.normalizer", "_Place.read", "numbers.reshape(()) if numbers.size == 1 else None", "numbers[0].reshape(())"),
    Mutation("a normaliser takes constants along any axis", "folding.rules.takers", "_reason", "if affine.axis not in (None, normalizer.axis):", "if False:"),
    Mutation("a statistic of a normaliser is taken for its result", "folding.rules.takers", "_TakeIntoNormalizer.backward", "if index != 0:", "if False:"),
    Mutation("a bare normaliser keeps its old shift", "lowering.normalizer", "lower_normalizer", "node.resize_inputs(2)", "pass"),
    Mutation("a normaliser's new constants are not those derived", "lowering.normalizer", "_derive", "step.scale * shift + step.shift", "shift + step.shift"),
    Mutation("an anchored affine is only its scale", "lowering.affine", "_product_and_sum", '("Mul", "Add") if', '("Mul",) if'),
)

MUTATIONS = (*SEARCH, *ALGEBRA, *LINEAR, *LIFT, *PASSES, *RUN_TIME, *LOWER, *MERGES, *NORMALIZERS)
