"""The mistakes that the tests must notice, one a line."""

# ruff: noqa: E501
# fmt: off

from __future__ import annotations

from mutation import Mutation

SEARCH = (
    Mutation("a second consumer is not counted", "folding.search", "Search._pull", "if len(uses) > 1:", "if False:"),
    Mutation("a tapped value is changed", "folding.search", "Search._pull", "if value.is_graph_output():", "if False:"),
    Mutation("an output's affine is dropped", "folding.search", "Search._push", "if value.is_graph_output():", "if False:"),
    Mutation("a consumer is forgotten", "folding.search", "Search._push", "uses = readers(value)", "uses = readers(value)[:1]"),
    Mutation("a pushed value keeps its name", "folding.search", "Search._follow", "else found + Plan(changed=(value,))", "else found"),
    Mutation("changed values keep their names", "folding.engine", "_Folding._carry_out", "self._names.rename(plan.changed)", "pass"),
    Mutation("two affines join in the wrong order", "folding.engine", "_compose", 'if edit.side == "before":', 'if edit.side == "after":'),
    Mutation("a constant is replaced for all who read it", "folding.engine", "_Folding._recompute", "edit.node.replace_input_with(edit.position, new)", "constant.value.replace_all_uses_with(new)"),
)

ALGEBRA = (
    Mutation("a first shift is not scaled by the second affine", "affine", "ChannelAffine.then", "after.scale * self.shift + after.shift", "self.shift + after.shift"),
    Mutation("a shift that comes first is not divided by the scale", "affine", "ChannelAffine.shift_before_scale", "self.shift / self.scale", "self.shift"),
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
    Mutation("zero padding is ignored", "folding.rules.absorb", "AbsorbIntoLinear.forward", "affine.has_shift and linear.pads_with_zeros", "False"),
    Mutation("automatic padding is ignored", "lifting.linear", "LinearMap.pads_with_zeros", 'if automatic in ("SAME_UPPER", "SAME_LOWER"):', "if False:"),
    Mutation("the border of a transposed conv is ignored", "lifting.linear", "LinearMap.pads_with_zeros", 'if self.op_type == "ConvTranspose":', "if False:"),
    Mutation("constants along any axis are taken", "folding.rules.absorb", "_axis_refusal", "if affine.axis in (None, axis):", "if True:"),
    Mutation("half precision may overflow", "folding.rules.absorb", "_fits", "if limits.overflows(now):", "if False:"),
    Mutation("half precision may lose a channel", "folding.rules.absorb", "_fits", "if limits.vanishes(now[~limits.vanishing(was)]):", "if False:"),
)

LIFT = (
    Mutation("every constant runs along axis 1", "lifting.channel", "channel_constant", "return ChannelConstant(offset + axis,", "return ChannelConstant(1,"),
    Mutation("constants are aligned from the left", "lifting.channel", "channel_constant", "offset = rank - array.ndim", "offset = 0"),
    Mutation("an input may be broadcast up", "lifting.channel", "channel_constant", "if length != 1 and known != length:", "if False:"),
    Mutation("c - x is read as x - c", "lifting.elementwise", "_affine", 'if op_type == "Sub" and constant_first:', "if False:"),
    Mutation("c / x is read as x / c", "lifting.elementwise", "read_elementwise", 'if node.op_type == "Div" and constant_first:', "if False:"),
    Mutation("a division is read as a product", "lifting.elementwise", "_affine", "return ChannelAffine.of(axis, scale=1.0 / c)", "return ChannelAffine.of(axis, scale=c)"),
    Mutation("a subtraction is read as an addition", "lifting.elementwise", "_affine", '-c if op_type == "Sub" else c', "c"),
    Mutation("a batch norm in training mode is folded", "lifting.batchnorm", "read_batch_norm", 'if node.attributes.get_int("training_mode", 0):', "if False:"),
    Mutation("eps is dropped", "lifting.batchnorm", "read_batch_norm", "variance + epsilon", "variance"),
    Mutation("the mean is dropped", "lifting.batchnorm", "read_batch_norm", "beta - centred", "beta"),
    Mutation("a bias along another axis is the product's", "lifting.runs", "_join_bias", "if lifted.affine.axis not in (None, linear.output_axis):", "if False:"),
    Mutation("a run goes on past a value that the graph gives", "lifting.runs", "_following", " or y.is_graph_output()", ""),
)

PASSES = (
    Mutation("padded zeros that an average counts are ignored", "folding.rules.pool", "_refuse_average", "(pads or overhangs) and", "False and"),
    Mutation("automatic padding of an average is ignored", "folding.rules.pool", "_refuse_average", "pads = explicit or", "pads = explicit and"),
    Mutation("an average passes constants along its positions", "folding.rules.pool", "_refuse_average", "if affine.axis not in (None, 0, 1):", "if False:"),
    Mutation("a maximum passes a negative scale", "folding.rules.pool", "_refuse_max", "if negative.size:", "if False:"),
    Mutation("an activation passes a shift", "folding.rules.elementwise", "_refuse_kink", "if affine.has_shift:", "if False:"),
    Mutation("an activation passes a negative scale", "folding.rules.elementwise", "_refuse_kink", "if negative.size:", "if False:"),
    Mutation("a sum forgets its count going forward", "folding.rules.reduce", "MoveThroughReduction.forward", "float(count or 1)", "1.0"),
    Mutation("a sum forgets its count going back", "folding.rules.reduce", "MoveThroughReduction.backward", "1.0 / (count or 1)", "1.0"),
    Mutation("a sum of an unknown count passes a shift", "folding.rules.reduce", "MoveThroughReduction.backward", "if count is None and affine.has_shift:", "if False:"),
    Mutation("a minimum passes a negative scale", "folding.rules.reduce", "_refuse_sign", "or np.all(affine.scale >= 0.0)", "or True"),
    Mutation("dropped dimensions are taken for kept ones", "folding.rules.reduce", "_kept_axes", 'if node.attributes.get_int("keepdims", 1):', "if True:"),
    Mutation("the parts of a concat are swapped", "folding.rules.concat", "MoveThroughConcat.backward", "parts = zip(inputs, spans, strict=True)", "parts = zip(inputs, reversed(spans), strict=True)"),
    Mutation("a part of a concat lands at its front", "folding.rules.concat", "MoveThroughConcat.forward", "own = np.arange(spans[index].start, spans[index].stop)", "own = np.arange(spans[index].stop - spans[index].start)"),
    Mutation("one input of a concat speaks for all", "folding.rules.concat", "MoveThroughConcat.forward", "if affine.axis not in (None, axis):", "if False:"),
    Mutation("DCR and CRD are mixed up", "folding.rules.space", "_groups", '== "CRD"', '== "DCR"'),
    Mutation("channels joined by space to depth need not agree", "folding.rules.space", "_moved", "if not bool(np.all(same)):", "if False:"),
    Mutation("a channel gathered twice takes the last constants", "folding.rules.select", "_merged", "return merged if bool(np.all(same)) else None", "return merged"),
    Mutation("every part of a split is its first", "folding.rules.select", "_split", "start = sum(known[:output])", "start = 0"),
    Mutation("a split along positions speaks for all parts", "folding.rules.select", "MoveThroughSelection.backward", "if len(node.outputs) > 1:", "if False:"),
    Mutation("a slice forgets its step", "folding.rules.select", "_sliced", "_python_slice(start, stop, step, length)", "slice(start, stop)"),
    Mutation("a gather of one index drops no axis", "folding.rules.select", "_output_axis", "else axis + spread - 1", "else axis"),
    Mutation("both branches of a sum take the shift", "folding.rules.residual", "_part", "part = affine if takes_shift else affine.only_scale()", "part = affine"),
    Mutation("one branch of a sum takes the scale twice", "folding.rules.residual", "_part", "else affine.only_scale()", "else affine.only_scale().then(affine.only_scale())"),
    Mutation("the subtracted branch takes the shift as it is", "folding.rules.residual", "_part", 'if node.op_type == "Sub" and position == 1', "if False"),
    Mutation("a subtracted shift goes on as it is", "folding.rules.residual", "MoveThroughAdd.forward", 'if node.op_type == "Sub" and index == 1:', "if False:"),
    Mutation("the other branch is not divided", "folding.rules.residual", "MoveThroughAdd.forward", "if affine.has_scale:", "if False:"),
    Mutation("a product passes a shift", "folding.rules.product", "_refuse_shift", "if not affine.has_shift:", "if True:"),
    Mutation("a divisor takes the scale", "folding.rules.product", "MoveThroughProduct.backward", 'node.inputs[:1] if node.op_type == "Div" else node.inputs', "node.inputs[1:]"),
    Mutation("a scaled divisor is passed", "folding.rules.product", "MoveThroughProduct.forward", 'if node.op_type == "Div" and index == 1:', "if False:"),
    Mutation("repeated channels share constants", "folding.rules.expand", "MoveThroughExpand.backward", "if axis is None or static_dim(x.shape, axis) != affine.channels:", "if axis is None:"),
    Mutation("a padding value goes the wrong way", "folding.rules.pad", "_answer", "(value - affine.shift) / affine.scale", "(value + affine.shift) / affine.scale"),
    Mutation("a part comes back to the node that leaves", "folding.search", "Search._pull", "if node is self._leaving:", "if False:"),
    Mutation("a padding value stays", "folding.rules.pad", "_answer", "if np.all(padding == value):", "if True:"),
    Mutation("padded channels take the constants", "folding.rules.pad", "_refuse_axis", "if affine.axis in padded:", "if False:"),
    Mutation("a crop and resize is taken for a resize", "folding.rules.resize", "_refuse", 'if coordinates == "tf_crop_and_resize":', "if False:"),
    Mutation("a transpose is undone by itself", "folding.rules.layout", "_undo", "[perm.index(i) for i in range(len(perm))]", "perm"),
    Mutation("dynamic dimensions match by their number", "folding.axes", "_match", "while size_i != size_j:", "while size_i.number != size_j.number:"),
    Mutation("a value is rearranged although something else reads it", "folding.rules.layout", "_is_inner", "return len(readers(value)) == 1 and not value.is_graph_output()", "return True"),
)

RUN_TIME = (
    Mutation("a reader of shapes is all readers", "lifting.readers", "_reads_no_number", 'node.op_type in ("Shape", "Size")', 'node.op_type not in ("Add", "Mul")'),
    Mutation("two ways to one padding count once", "folding.search", "Search.plan", "if len(set(repadded)) < len(repadded):", "if False:"),
    Mutation("a constant met twice is taken from its first place", "folding.search", "_recompute", "places[min(occurrence, len(places) - 1)]", "places[0]"),
)

LOWER = (
    Mutation("a batch norm stands for constants along any axis", "lowering.affine", "_cheapest", "affine.axis == 1 and", "affine.axis is not None and"),
    Mutation("what is left loses its shift", "lowering.affine", "_cheapest", "if not affine.has_shift:", "if True:"),
    Mutation("the scale and the shift of what is left are swapped", "lowering.affine", "_Constants.of", 'if op_type == "Mul" else', 'if op_type == "Add" else'),
    Mutation("constants are rounded in single precision", "folding.initializers", "Initializers.add", "array.astype(dtype.numpy())", "array.astype(np.float32).astype(dtype.numpy())"),
    Mutation("two constants that follow one tensor are one", "folding.initializers", "Initializers.add", "digest = hashlib.sha256(rounded.tobytes()).digest()", 'digest = b""'),
    Mutation("Gemm's factors are applied twice", "lowering.linear", "_nodes", 'linear.op_type == "Gemm" and', "False and"),
    Mutation("a left product's bias runs along its columns", "lowering.linear", "_bias_array", "linear.offset.reshape(-1, 1)", "linear.offset"),
    Mutation("the derivation is not compared", "lowering.derive", "Derivation.check", "if not np.all(error <= ", "if False and np.all(error <= "),
    Mutation("an interface name is changed", "lifting.rewire", "bypass", "x.name = y.name", "pass"),
)

MERGES = (
    Mutation("strides of parallel branches may differ", "folding.merges.kernel", "kernel_of", "p.strides != first.strides or", ""),
    Mutation("margins of parallel branches may differ", "folding.merges.kernel", "kernel_of", "or p.margins != first.margins", ""),
    Mutation("a merged kernel is mirrored", "folding.merges.kernel", "kernel_of", "tuple((offset[i] - lows[i]) //", "tuple((highs[i] - offset[i]) //"),
    Mutation("a branch that something else reads is merged", "folding.merges.parallel", "_term", "or len(leaf.uses()) != 1 or leaf.is_graph_output()", ""),
    Mutation("a group on the diagonal is misplaced", "folding.merges.kernel", "_block_diagonal", "wide[:, position, :, position, :]", "wide[:, position, :, 0, :]"),
    Mutation("the biases of merged branches are dropped", "folding.merges.parallel", "_merge", "offset = np.sum([term.offset for term in summands], axis=0)", "offset = np.zeros_like(summands[0].offset)"),
)

NORMALIZERS = (
    Mutation("a normaliser's scale and shift are left behind and given away", "folding.engine", "_Folding._give_away", "set_normalizer(node, normalizer.bare())", "pass"),
    Mutation("a bare normaliser keeps its name", "folding.engine", "_Folding._give_away", "(*plan.changed, y)", "plan.changed"),
    Mutation("a normaliser puts what it takes before what it has", "lifting.normalizer", "Normalizer.then", "self.affine.then(affine)", "affine.then(self.affine)"),
    Mutation("a bare normaliser forgets that it changed", "lifting.normalizer", "Normalizer.is_changed", "self.given or bool(self.taken)", "bool(self.taken)"),
    Mutation("a scale of a group is one of a channel", "lifting.normalizer", "_Place.read", "np.repeat(array.reshape(-1), self.repeats)", "np.tile(array.reshape(-1), self.repeats)"),
    Mutation("a group's scale takes one for each channel", "folding.rules.normalizer", "_reason", "if np.any(groups != groups[:, :, :1]):", "if False:"),
    Mutation("one number of many speaks for several axes", "lifting.normalizer", "_Place.read", "numbers.reshape(()) if numbers.size == 1 else None", "numbers[0].reshape(())"),
    Mutation("a normaliser takes constants along any axis", "folding.rules.normalizer", "_reason", "if affine.axis not in (None, normalizer.axis):", "if False:"),
    Mutation("a statistic of a normaliser is taken for its result", "folding.rules.normalizer", "AbsorbIntoNormalizer.backward", "if index != 0:", "if False:"),
    Mutation("a bare normaliser keeps its old shift", "lowering.normalizer", "lower_normalizer", "node.resize_inputs(2)", "pass"),
    Mutation("a normaliser's new constants are not those derived", "lowering.normalizer", "_derive", "step.scale * shift + step.shift", "shift + step.shift"),
    Mutation("an anchored affine is only its scale", "lowering.affine", "_product_and_sum", '("Mul", "Add") if', '("Mul",) if'),
)

MUTATIONS = (*SEARCH, *ALGEBRA, *LINEAR, *LIFT, *PASSES, *RUN_TIME, *LOWER, *MERGES, *NORMALIZERS)
