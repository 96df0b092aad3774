"""Checks what no schema knows: that names used in deploy/ exist where they come from. Run by .ci/deploy."""

import json
import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
mistakes = []


def mistake(where, what):
    mistakes.append(f"{where}: {what}")


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def table_names(path, pattern):
    """First cells of a page's tables."""
    return set(re.findall(pattern, read(path), re.MULTILINE))


# Metrics: every name in an expression is one of docs/metrics.md, a histogram with its suffixes.
def known_metrics():
    rows = re.findall(r"^\| `([a-z_]+)` \| (\w+) \|", read("docs/metrics.md"), re.MULTILINE)
    known = {"up"}
    for name, kind in rows:
        suffixes = ["_bucket", "_count", "_sum"] if kind == "histogram" else [""]
        known.update(name + suffix for suffix in suffixes)
    return known


FUNCTIONS = set(
    "sum max min by rate increase time histogram_quantile le without on and or unless avg count".split()
)


def metrics_of(expression):
    bare = re.sub(r'"[^"]*"', "", expression)
    bare = re.sub(r"\{[^}]*\}", "", bare)
    bare = re.sub(r"\[[^\]]*\]", "", bare)
    bare = re.sub(r"\b(by|without)\s*\([^)]*\)", "", bare)
    return {word for word in re.findall(r"\b[a-z][a-z_]+\b", bare) if word not in FUNCTIONS}


def check_metrics():
    known = known_metrics()
    rules = yaml.safe_load(read("deploy/prometheus/rules.yaml"))
    used = []
    for group in rules["groups"]:
        for rule in group["rules"]:
            used.append((f"rules.yaml, {rule['alert']}", rule["expr"]))
            page = ROOT / rule["annotations"]["runbook_url"]
            if not page.is_file():
                mistake(f"rules.yaml, {rule['alert']}", f"no page {rule['annotations']['runbook_url']}")
    for panel in json.loads(read("deploy/grafana/dashboard.json"))["panels"]:
        for target in panel.get("targets", []):
            used.append((f"dashboard.json, {panel['title']}", target["expr"]))
    for where, expression in used:
        names = metrics_of(expression)
        if not names:
            mistake(where, "no metric was recognised in its expression")
        for name in sorted(names - known):
            mistake(where, f"no metric {name} in docs/metrics.md")
    return len(used)


# Variables: every one that is set is one of docs/configuration.md.
def check_variables():
    known = set(re.findall(r"`((?:PARTITA|DB|DATABASE)_[A-Z_]+)`", read("docs/configuration.md")))
    files = [*DEPLOY.glob("kustomize/**/*.yaml"), *DEPLOY.glob("compose/*.yaml"), DEPLOY / "Dockerfile"]
    count = 0
    for path in files:
        text = re.sub(r"#.*", "", path.read_text(encoding="utf-8"))
        for name in re.findall(r"\b(?:PARTITA_|DB_PARTITION|DATABASE_URL)[A-Z_]*[A-Z]\b", text):
            count += 1
            if name not in known:
                mistake(path.relative_to(ROOT), f"no variable {name} in docs/configuration.md")
    return count


def seconds(text):
    return int(re.fullmatch(r"(\d+)s", text).group(1))


# Compose: files that are mounted exist, services that are waited for too.
def check_compose():
    folder = DEPLOY / "compose"
    compose = yaml.safe_load((folder / "compose.yaml").read_text(encoding="utf-8"))
    services = compose["services"]
    for name, service in services.items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith(".") and not (folder / source).exists():
                mistake("compose.yaml", f"{name} mounts {source}, which is not there")
            if not source.startswith(".") and source not in compose["volumes"]:
                mistake("compose.yaml", f"{name} mounts the volume {source}, which is not declared")
        for other in service.get("depends_on", []):
            if other not in services:
                mistake("compose.yaml", f"{name} waits for {other}, which is not there")
        if "build" in service and not (folder / service["build"]["context"] / service["build"]["dockerfile"]).is_file():
            mistake("compose.yaml", f"{name} is built by a file that is not there")
    return len(services)


# The login of the overlay is that of compose, but for the first lines.
def check_copies():
    def body(path):
        return [line for line in read(path).splitlines() if not line.startswith("--")]

    if body("deploy/compose/init.sql") != body("deploy/kustomize/overlays/dev/init.sql"):
        mistake("overlays/dev/init.sql", "differs from deploy/compose/init.sql")


def pod_of(document):
    kind, spec = document["kind"], document.get("spec", {})
    if kind in ("Deployment", "Job"):
        return spec["template"]["spec"]
    return spec["jobTemplate"]["spec"]["template"]["spec"] if kind == "CronJob" else None


def environment(document, configs):
    values = {}
    for container in pod_of(document)["containers"]:
        for source in container.get("envFrom", []):
            values.update(configs.get(source["configMapRef"]["name"], {}))
        values.update({entry["name"]: entry.get("value") for entry in container.get("env", [])})
    return values


def restricted(where, document):
    """What the Pod Security Standard `restricted` asks for, and a root that cannot be written."""
    pod = pod_of(document)
    security = pod.get("securityContext", {})
    if security.get("runAsNonRoot") is not True or security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        mistake(where, "the pod may run as root, or without a seccomp profile")
    for container in pod["containers"]:
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False or own.get("capabilities", {}).get("drop") != ["ALL"]:
            mistake(where, "a container may gain privileges")
        if own.get("readOnlyRootFilesystem") is not True:
            mistake(where, "a container may write to its root")
        if not container.get("resources", {}).get("limits", {}).get("memory"):
            mistake(where, "a container has no limit of memory")


# Rendered manifests: references meet, the grace period suffices, nothing runs with rights.
def check_manifests(rendered):
    count = 0
    for path in sorted(rendered.glob("*.yaml")):
        documents = [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document]
        configs = {it["metadata"]["name"]: it.get("data", {}) for it in documents if it["kind"] == "ConfigMap"}
        secrets = {it["metadata"]["name"] for it in documents if it["kind"] == "Secret"}
        labels = [
            it["spec"]["template"]["metadata"]["labels"] for it in documents if it["kind"] in ("Deployment", "Job")
        ]
        for document in documents:
            count += 1
            kind, name = document["kind"], document["metadata"]["name"]
            where = f"{path.stem}, {kind} {name}"
            if kind in ("Service", "PodDisruptionBudget"):
                selector = document["spec"]["selector"]
                selector = selector.get("matchLabels", selector)
                if not any(selector.items() <= pod.items() for pod in labels):
                    mistake(where, "selects no pod")
            if pod_of(document) is None:
                continue
            restricted(where, document)
            for container in pod_of(document)["containers"]:
                for source in container.get("envFrom", []):
                    if source["configMapRef"]["name"] not in configs:
                        mistake(where, f"no ConfigMap {source['configMapRef']['name']}")
                for entry in container.get("env", []):
                    secret = entry.get("valueFrom", {}).get("secretKeyRef", {}).get("name")
                    known = {"partita-app", "partita-migrator"} if path.stem == "production" else secrets
                    if secret and secret not in known:
                        mistake(where, f"no Secret {secret}")
            if kind == "Deployment" and "partita" in name:
                values = environment(document, configs)
                notice = int(values["PARTITA_SHUTDOWN_NOTICE_SECONDS"])
                drain = int(values["PARTITA_DRAIN_TIMEOUT_SECONDS"])
                grace = pod_of(document)["terminationGracePeriodSeconds"]
                if grace < notice + drain + 10:
                    mistake(where, f"{grace} s of grace for {notice} + {drain} + 10 s of shutdown")
    return count


def main():
    rendered = pathlib.Path(sys.argv[1])
    expressions, variables, services = check_metrics(), check_variables(), check_compose()
    check_copies()
    manifests = check_manifests(rendered)
    for line in mistakes:
        print(f"deploy: {line}", file=sys.stderr)
    if mistakes:
        sys.exit(1)
    print(
        f"deploy: {expressions} expressions, {variables} variables, {services} services of compose and "
        f"{manifests} manifests agree with the documents"
    )


main()
