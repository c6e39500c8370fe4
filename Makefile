# make help lists what there is.

GO      ?= go
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/callisto
	$(GO) build -trimpath -ldflags "-X main.version=$(VERSION)" -o bin/callisto ./cmd/callisto

.PHONY: run
run: build ## Serve scripts/ on 127.0.0.1:8084 with config.toml
	bin/callisto serve --config config.toml

.PHONY: check
check: build ## Look for mistakes in scripts/
	bin/callisto check --config config.toml

.PHONY: test
test: ## Run everything: formatting, vet, staticcheck, all tests with the race detector
	@test -z "$$(gofmt -l .)" || { echo "gofmt would change:"; gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	$(GO) test -race ./...

.PHONY: docs
docs: ## Write docs/lua.md anew from the verb table, and draw docs/support.svg
	$(GO) test ./luabind -run '^TestReference$$' -count 1 -update
	$(GO) test ./cmd/callisto -run '^TestPictureInDocuments$$' -count 1 -update

.PHONY: fuzz
fuzz: ## Fuzz the reader, the commands, events, script names and what modules parse for a minute each
	$(GO) test ./esl -run '^$$' -fuzz FuzzReader -fuzztime 1m
	$(GO) test ./esl -run '^$$' -fuzz FuzzCommand -fuzztime 1m
	$(GO) test ./esl -run '^$$' -fuzz FuzzEvent -fuzztime 1m
	$(GO) test ./engine -run '^$$' -fuzz FuzzScriptName -fuzztime 1m
	$(GO) test ./luabind -run '^$$' -fuzz FuzzJSON -fuzztime 1m
	$(GO) test ./luabind -run '^$$' -fuzz FuzzHours -fuzztime 1m

.PHONY: bench
bench: ## Print the ratios and KiB per call of docs/numbers.md
	$(GO) test ./engine -run '^TestNumbers$$' -numbers -count 1 -v -timeout 30m

.PHONY: test-live
test-live: ## The same flows on a real switch: make test-live FREESWITCH=host:8021 PASSWORD=ClueCon [CALLISTO=our.address]
	CALLISTO_LIVE="$(FREESWITCH)" CALLISTO_LIVE_PASSWORD="$(PASSWORD)" CALLISTO_LIVE_LISTEN="$(CALLISTO)" \
		$(GO) test ./engine ./luabind -run '^TestLive' -count 1 -v
