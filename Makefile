# SPDX-License-Identifier: GPL-2.0-only
# The commands a person types; each installs what it needs, builds, and does one thing. CMake and Kbuild do the work.

BUILD := build
# The demo does without the tests and what they need.
TESTING := OFF
PREFIX := /usr/local

.PHONY: build programs install install-dkms uninstall module guest demo shell test test-devices test-debug test-kernels test-wine coverage windows windows-wdk soak bench clean help

help:
	@echo 'make demo    set everything up, boot a guest, use two devices in it, say how it went'
	@echo 'make test    set everything up, run all tests (.ci/run calls this)'
	@echo 'make shell   the same guest, with a prompt to play in'
	@echo 'make build   the daemon, the command line and the guest module; TESTING=ON adds the tests'
	@echo 'make install  the Linux host, for PREFIX=$(PREFIX) and into DESTDIR; make uninstall removes it again'
	@echo 'make install-dkms  in a guest: the module, which DKMS builds for each of its kernels'
	@echo 'make bench   what the transport costs, as ratios to baselines of the same run'
	@echo 'make windows the Windows host: drivers, service, command line, installer, cross-built'
	@echo 'make windows-wdk   compares its view of Windows with the headers and libraries of Microsoft'
	@echo 'make test-wine     the Windows host under Wine, with a guest: everything; make test has a part of it'
	@echo 'make coverage      which lines of the Windows drivers those tests execute'
	@echo 'make test-devices  USB hardware that is not ours through libusb: of QEMU, and gadgets of the kernel'
	@echo 'make test-debug    the VM tests on a kernel with lockdep, KASAN and kmemleak, built once in minutes'
	@echo 'make test-kernels  the module against the headers of other kernels, newer ones in a chroot'
	@echo 'make soak    the slow tests: a million seeded runs of the loop test, all fault cycles'
	@echo 'make clean   remove $(BUILD)/'

build: module programs

programs:
	cmake -S . -B $(BUILD) -DCMAKE_BUILD_TYPE=RelWithDebInfo -DBUILD_TESTING=$(TESTING) >/dev/null
	cmake --build $(BUILD) -j "$$(nproc)" -- --no-print-directory

# The prefix of the last installation would stay in the cache, and with it in the unit, so it is always given.
install: programs
	cmake -DCMAKE_INSTALL_PREFIX=$(PREFIX) $(BUILD) >/dev/null
	DESTDIR="$(DESTDIR)" cmake --install $(BUILD)

# Of its own configuration, since a guest needs neither daemon nor libusb.
install-dkms:
	cmake -S . -B $(BUILD)/dkms -DUSBWARP_DAEMON=OFF -DBUILD_TESTING=OFF >/dev/null
	DESTDIR="$(DESTDIR)" cmake --install $(BUILD)/dkms --component dkms

uninstall:
	DESTDIR="$(DESTDIR)" scripts/uninstall.sh $(BUILD) $(BUILD)/dkms

module:
	scripts/build-module.sh

guest:
	tests/vm/mkguest.sh

demo:
	scripts/setup.sh demo
	$(MAKE) --no-print-directory build guest
	scripts/demo.py

shell:
	scripts/setup.sh demo
	$(MAKE) --no-print-directory build guest
	scripts/shell.py

test:
	scripts/setup.sh test
	$(MAKE) --no-print-directory TESTING=ON build guest
	USBWARP_LAB=ON scripts/build-windows.sh
	cd $(BUILD) && ctest --output-on-failure -j "$$(nproc)"

windows:
	scripts/setup.sh windows
	scripts/build-windows.sh

# Needs the .NET SDK and a NuGet source, and fetches a gigabyte; for those who want to know.
windows-wdk: windows
	scripts/build-windows-wdk.sh

test-wine:
	scripts/setup.sh test
	$(MAKE) --no-print-directory TESTING=ON build guest
	USBWARP_LAB=ON scripts/build-windows.sh
	USBWARP_ROUNDS="$${USBWARP_ROUNDS:-1}" tests/wine/run.sh

test-devices:
	scripts/setup.sh devices
	$(MAKE) --no-print-directory TESTING=ON build guest
	tests/vm/run-devices.sh

coverage:
	scripts/setup.sh test
	$(MAKE) --no-print-directory TESTING=ON build guest
	cmake -S host/windows -B $(BUILD)/windows-coverage -DUSBWARP_LAB=ON -DUSBWARP_COVERAGE=ON \
		-DCMAKE_TOOLCHAIN_FILE=$(CURDIR)/host/windows/cmake/gcc.cmake >/dev/null
	cmake --build $(BUILD)/windows-coverage -j "$$(nproc)" -- --no-print-directory
	tests/wine/coverage.py

test-debug:
	scripts/setup.sh all
	$(MAKE) --no-print-directory TESTING=ON build guest
	tests/vm/mkdebugkernel.sh
	scripts/build-module.sh $(BUILD)/guest-debug/linux $(CURDIR)/$(BUILD)/module-debug
	USBWARP_KERNEL=debug USBWARP_BIN=$(CURDIR)/$(BUILD)/checked tests/vm/test_devices.py
	USBWARP_KERNEL=debug USBWARP_BIN=$(CURDIR)/$(BUILD)/checked tests/vm/test_faults.py
	USBWARP_KERNEL=debug USBWARP_BIN=$(CURDIR)/$(BUILD)/checked tests/vm/test_module.py

test-kernels:
	scripts/setup.sh all
	tests/kernel-matrix.sh all

bench:
	scripts/setup.sh demo
	$(MAKE) --no-print-directory build guest
	scripts/bench.py

soak:
	scripts/setup.sh test
	$(MAKE) --no-print-directory TESTING=ON build guest
	scripts/soak.sh

clean:
	rm -rf $(BUILD)
