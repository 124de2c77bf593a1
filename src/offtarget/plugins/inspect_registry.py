"""What Inspect AI finds under `offtarget/`: imported by every `inspect` command where offtarget is installed."""

from offtarget.plugins.inspect.emergent_misalignment import emergent_misalignment as emergent_misalignment
from offtarget.plugins.inspect.paired import paired as paired
from offtarget.plugins.inspect.rates import misaligned_rates as misaligned_rates
from offtarget.plugins.inspect.rates import paired_rates as paired_rates
from offtarget.plugins.inspect.scoring import alignment_judge as alignment_judge
from offtarget.plugins.inspect.scoring import paired_judge as paired_judge
