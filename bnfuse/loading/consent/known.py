"""What a file may import with no flag: an explicit list, each entry looked at, no prefixes.

A name is here only if making it from a file can do nothing but set its attributes: the classes
have no ``__reduce__`` and their ``__setstate__`` fills ``__dict__`` with defaults for old files.
Lazy modules, containers that compile or call, and whatever takes a function to run are left out.
"""

from __future__ import annotations

__all__ = ["CALLABLE", "HARMLESS", "TENSOR_MAKERS", "is_storage_type", "torch_allows"]

_TORCH_MODULES: dict[str, str] = {
    "activation": (
        "CELU ELU GELU GLU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU LogSigmoid "
        "LogSoftmax Mish MultiheadAttention PReLU RReLU ReLU ReLU6 SELU SiLU Sigmoid "
        "Softmax Softmax2d Softmin Softplus Softshrink Softsign Tanh Tanhshrink Threshold"
    ),
    "adaptive": "AdaptiveLogSoftmaxWithLoss",
    "batchnorm": "BatchNorm1d BatchNorm2d BatchNorm3d SyncBatchNorm",
    "channelshuffle": "ChannelShuffle",
    "container": "ModuleDict ModuleList ParameterDict ParameterList Sequential",
    "conv": "Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d",
    "distance": "CosineSimilarity PairwiseDistance",
    "dropout": ("AlphaDropout Dropout Dropout1d Dropout2d Dropout3d FeatureAlphaDropout"),
    "flatten": "Flatten Unflatten",
    "fold": "Fold Unfold",
    "instancenorm": "InstanceNorm1d InstanceNorm2d InstanceNorm3d",
    "linear": "Bilinear Identity Linear NonDynamicallyQuantizableLinear",
    "loss": (
        "BCELoss BCEWithLogitsLoss CTCLoss CosineEmbeddingLoss CrossEntropyLoss "
        "GaussianNLLLoss HingeEmbeddingLoss HuberLoss KLDivLoss L1Loss MSELoss "
        "MarginRankingLoss MultiLabelMarginLoss MultiLabelSoftMarginLoss MultiMarginLoss "
        "NLLLoss PoissonNLLLoss SmoothL1Loss SoftMarginLoss TripletMarginLoss "
        "TripletMarginWithDistanceLoss"
    ),
    "module": "Module",
    "normalization": "CrossMapLRN2d GroupNorm LayerNorm LocalResponseNorm RMSNorm",
    "padding": (
        "CircularPad1d CircularPad2d CircularPad3d ConstantPad1d ConstantPad2d "
        "ConstantPad3d ReflectionPad1d ReflectionPad2d ReflectionPad3d ReplicationPad1d "
        "ReplicationPad2d ReplicationPad3d ZeroPad1d ZeroPad2d ZeroPad3d"
    ),
    "pixelshuffle": "PixelShuffle PixelUnshuffle",
    "pooling": (
        "AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d "
        "AdaptiveMaxPool2d AdaptiveMaxPool3d AvgPool1d AvgPool2d AvgPool3d "
        "FractionalMaxPool2d FractionalMaxPool3d LPPool1d LPPool2d LPPool3d MaxPool1d "
        "MaxPool2d MaxPool3d MaxUnpool1d MaxUnpool2d MaxUnpool3d"
    ),
    "rnn": "GRU GRUCell LSTM LSTMCell RNN RNNBase RNNCell RNNCellBase",
    "sparse": "Embedding EmbeddingBag",
    "transformer": (
        "Transformer TransformerDecoder TransformerDecoderLayer TransformerEncoder "
        "TransformerEncoderLayer"
    ),
    "upsampling": "Upsample UpsamplingBilinear2d UpsamplingNearest2d",
}
"""Classes of ``torch.nn.modules``, by the file that defines them."""

_TORCH_OTHER = (
    "torch.nn.modules.batchnorm._BatchNorm",
    "torch.nn.modules.module._WrappedHook",
    "torch.nn.parallel.data_parallel.DataParallel",
    "torch.nn.utils.weight_norm.WeightNorm",
    "torch.nn.utils.spectral_norm.SpectralNorm",
    "torch.nn.utils.spectral_norm.SpectralNormLoadStateDictPreHook",
    "torch.nn.utils.spectral_norm.SpectralNormStateDictHook",
)

_FUNCTIONAL = """
    celu elu glu hardsigmoid hardswish hardtanh leaky_relu log_softmax mish relu relu6 selu sigmoid
    silu softmax softmin softsign tanh tanhshrink
"""
_ACTIVATIONS = (
    *(f"torch.nn.functional.{name}" for name in _FUNCTIONAL.split()),
    "torch._C._nn.gelu",
    "torch._C._nn.log_sigmoid",
    "torch._C._nn.softplus",
)

_MODELS = (
    "bnfuse.models.bnlayer.BnLayer",
    "bnfuse.models.bnlayer.ConvBnNet",
    "bnfuse.models.bnlayer.ConvReluNorm",
    "bnfuse.models.deep_mlp.DeepMlp",
    "bnfuse.models.flattened.FlattenedNorm",
    "bnfuse.models.flattened.FlattenedNormNet",
    "bnfuse.models.image_norm.ImageNorm",
    "bnfuse.models.image_norm.ImageNormNet",
    "bnfuse.models.scratch.ScratchBatchNorm1d",
    "bnfuse.models.scratch.ScratchBatchNorm2d",
    "bnfuse.models.scratch.ScratchBatchNorm3d",
    "bnfuse.models.scratch_cnn.ConvNormRelu",
    "bnfuse.models.scratch_cnn.ScratchCnn",
    "bnfuse.models.spellings.AddcmulBatchNorm",
    "bnfuse.models.spellings.ChannelsLastBatchNorm",
    "bnfuse.models.spellings.ExpandedBatchNorm",
    "bnfuse.models.spellings.FlattenedBatchNorm",
    "bnfuse.models.spellings.FrozenBatchNorm",
    "bnfuse.models.spellings.FunctionalBatchNorm",
    "bnfuse.models.spellings.IndexedBatchNorm",
    "bnfuse.models.spellings.PowerBatchNorm",
    "bnfuse.models.spellings.ReversedBatchNorm",
    "bnfuse.models.spellings.RsqrtBatchNorm",
    "bnfuse.models.subclassed.ActivatedBatchNorm1d",
    "bnfuse.models.subclassed.ActivatedBatchNorm2d",
    "bnfuse.models.subclassed.ActivatedBatchNorm3d",
    "bnfuse.models.walkthrough.ConvNorm",
    "bnfuse.models.walkthrough.ConvNormLinearNorm",
    "bnfuse.models.walkthrough.ConvPoolNorm",
    "bnfuse.models.walkthrough.ConvPoolNormTwice",
)
"""bnfuse's own networks: what ``bnfuse train`` saves loads with no flag."""

TENSOR_MAKERS = frozenset(
    {
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_tensor_v3",
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_parameter_with_state",
        "torch._tensor._rebuild_from_type_v2",
    }
)
"""What makes a tensor or a parameter out of a storage. Not quantised, sparse or nested ones:
their makers believe sizes that nothing here can check, and no norm folds into them."""

_DATA_MAKERS = frozenset(
    {
        "_codecs.encode",
        "builtins.complex",
        "builtins.frozenset",
        "builtins.set",
        "builtins.slice",
        "collections.Counter",
        "collections.OrderedDict",
        "collections.defaultdict",
        "torch.Size",
        "torch.device",
        "torch.serialization._get_layout",
    }
)

_DATA_TYPES = frozenset(
    {
        "builtins.bool",
        "builtins.dict",
        "builtins.float",
        "builtins.int",
        "builtins.list",
        "builtins.str",
        "builtins.tuple",
        "torch.Tensor",
        "torch.nn.parameter.Parameter",
    }
)

_DTYPE_NAMES = """
    bfloat16 bool complex128 complex32 complex64 float16 float32 float64 float8_e4m3fn float8_e5m2
    int16 int32 int64 int8 uint16 uint32 uint64 uint8
"""
_DTYPES = frozenset(f"torch.{name}" for name in _DTYPE_NAMES.split())

CALLABLE = TENSOR_MAKERS | _DATA_MAKERS
"""The only things that a file may call. A ``torch.nn`` class is never called: pickles make a module
without its constructor, so a file that calls one wants the constructor to fill the memory."""

HARMLESS = frozenset(
    [
        *(
            f"torch.nn.modules.{file}.{name}"
            for file, names in _TORCH_MODULES.items()
            for name in names.split()
        ),
        *_TORCH_OTHER,
        *_ACTIVATIONS,
        *_MODELS,
        *CALLABLE,
        *_DATA_TYPES,
        *_DTYPES,
    ]
)
"""Every name that a file may import with no flag, beside the storage types."""

_ELEMENTS = "BFloat16 Bool Byte Char ComplexDouble ComplexFloat Double Float Half Int Long Short"
_STORAGE_TYPES = frozenset(f"{element}Storage" for element in _ELEMENTS.split())


_TORCHS_OWN = (
    TENSOR_MAKERS
    | _DTYPES
    | {
        "_codecs.encode",
        "builtins.complex",
        "builtins.set",
        "collections.Counter",
        "collections.OrderedDict",
        "torch.Size",
        "torch.Tensor",
        "torch.device",
        "torch.nn.parameter.Parameter",
        "torch.serialization._get_layout",
    }
)


def torch_allows(dotted: str) -> bool:
    """Whether torch's restricted unpickler takes a name with no permission, in its own way."""
    return dotted in _TORCHS_OWN or is_storage_type(dotted)


def is_storage_type(dotted: str) -> bool:
    """Whether a name is one of torch's storage types, which only say how wide an element is."""
    module, _, name = dotted.rpartition(".")
    if module in ("torch", "torch.cuda"):
        return name in _STORAGE_TYPES
    return dotted in ("torch.storage.UntypedStorage", "torch.storage.TypedStorage")
