"""The energy of your own training loop, window by window."""

import torch

import harness
from harness.integrations.plain import steps_measured

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(256, 512), torch.nn.ReLU(), torch.nn.Linear(512, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)


def train(steps: int) -> None:
    """Train on noise; only its joules matter here."""
    for _ in range(steps):
        images, labels = torch.randn(256, 256), torch.randint(10, (256,))
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


with harness.measure() as energy, steps_measured(optimizer, energy, every=500):
    train(1000)
    with energy.window("evaluation"), torch.no_grad():
        model(torch.randn(10_000, 256))

for name, window in energy.windows.items():
    joules = window.joules
    print(f"{name:20} {joules.energy_j:8.2f} J ± {joules.uncertainty_j:.2f} J")
whole = energy.found
print(f"{'all':20} {whole.joules.energy_j:8.2f} J ± {whole.joules.uncertainty_j:.2f} J")
for device in whole.devices:
    print(f"{device.name}: {device.source}")
for note in whole.notes:
    print(f"missing: {note}")
