"""One channel's requests: plant, look at once, and look again after more requests."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.audit.channels import ChannelInfo, claim
from bench.audit.probe.base import Secret, name_of
from bench.platforms.activations import Activation
from bench.platforms.client import Client
from bench.plugins import Scheme
from bench.store.rows import AuditRow

#: Native time limit of a request; the platform's own time for a new container comes on top.
REQUEST_S = 20.0
MARGIN_S = 60.0
#: How OpenWhisk begins the error of an action that its container refuses.
NOT_STARTED = "cannot start action:"


@dataclass(frozen=True)
class Prober:
    """Sends the requests of channels to one action.

    All of a channel's requests are sent at once; the platform, which has room for one container, lets each
    in as soon as the container accepts it.
    """

    client: Client
    action: str
    scheme: Scheme
    launcher_user: str
    slowdown: float
    #: So many requests are between a plant and each of its looks.
    looks: tuple[int, ...]

    def probe(self, channel: ChannelInfo) -> Iterator[AuditRow]:
        """Plant, look, look again; a row for each request."""
        seed = secrets.token_hex(16)
        secret = Secret.of_seed(seed)
        plant = {"kind": "plant", "channel": channel.name, "seed": seed}
        look = {"kind": "look", "channel": channel.name, "masked": secret.masked, "name": name_of(seed)}
        if channel.in_request:
            plant["text"] = secret.text
        calls: list[dict[str, Any]] = [plant]
        calls += [look if n in self.looks else {"kind": "filler"} for n in range(max(self.looks) + 1)]
        first: list[Activation] = []
        if channel.carries:
            first = [self._record(self.client.invoke_async(self.action, calls.pop(0)))]
            carried = first[0].result.get("carry") if isinstance(first[0].result, dict) else None
            calls = [call | {"carry": carried} if call["kind"] == "look" else call for call in calls]
        pending = [self.client.invoke_async(self.action, call) for call in calls]
        records = [*first, *(self._record(activation) for activation in pending)]
        for step, record in enumerate(records):
            kind = "plant" if step == 0 else "look" if step - 1 in self.looks else "filler"
            moved = step + 1 < len(records) and records[step + 1].container_id != record.container_id
            # Why a container was left may be known later than that it was.
            yield self._row(channel, step, kind, self._record(record.id) if moved else record)

    def refusal(self) -> str:
        """Why an isolating scheme does not start with what was prepared; "" when it does."""
        if not self.scheme.spec.isolates:
            return ""
        record = self._record(self.client.invoke_async(self.action, {"kind": "filler"}))
        error = str(record.result.get("error", "")) if isinstance(record.result, dict) else ""
        return error.removeprefix(NOT_STARTED).strip() if error.startswith(NOT_STARTED) else ""

    def not_started(self, channel: ChannelInfo, refusal: str) -> AuditRow:
        """The only row of a channel whose container the scheme refuses to start."""
        return self._fact(channel, 0, "plant", refused=f"at the start: {refusal}")

    def _record(self, activation: str) -> Activation:
        return self.client.activation(activation, timeout_s=(REQUEST_S + MARGIN_S) * self.slowdown)

    def _row(self, channel: ChannelInfo, step: int, kind: str, record: Activation) -> AuditRow:
        result = record.result if isinstance(record.result, dict) else {"error": record.result}
        failed = result.get("error") or result.get("broken") or result.get("failed") or ""
        return self._fact(
            channel,
            step,
            kind,
            further=step - 1 if kind == "look" else None,
            found=str(result.get("found", "")),
            refused=str(result.get("refused", "")),
            failed=str(failed),
            container_id=record.container_id,
            retired=record.retired,
        )

    def _fact(self, channel: ChannelInfo, step: int, kind: str, **said: Any) -> AuditRow:
        return AuditRow(
            family=channel.family,
            channel=channel.name,
            summary=channel.summary,
            launcher_user=self.launcher_user,
            claim=claim(self.scheme, channel),
            step=step,
            kind=kind,
            expected_refusal=channel.refused.get(self.launcher_user, ""),
            **said,
        )
