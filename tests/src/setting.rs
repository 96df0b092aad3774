/// A phase to run a test in, from an empty database on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// The flag is off.
    Legacy,
    /// The flag is on.
    Dual,
    /// The fence is up, and no tenant is verified.
    Fenced,
    /// The fence is up, and every tenant counts as verified from its first moment on: there was nothing before it.
    FencedVerified,
    /// On the way back from `Finalized`.
    Restoring,
    /// The partitioned table alone.
    Finalized,
}

impl Setting {
    /// `DB_PARTITIONS_V1` in this phase.
    pub fn flag(self) -> bool {
        self != Self::Legacy
    }

    /// These positions, where the phase draws any; none of them where it does not.
    pub fn positions(self, drawn: impl IntoIterator<Item = i64>) -> Vec<Option<i64>> {
        drawn.into_iter().map(|position| Some(position).filter(|_| self.flag())).collect()
    }

    /// Whether appends write the legacy table.
    pub fn writes_legacy(self) -> bool {
        self != Self::Finalized
    }

    /// The statements that bring an empty database into the phase.
    pub(crate) fn statements(self) -> &'static str {
        match self {
            Self::Legacy | Self::Dual => "",
            Self::Fenced => "SELECT event_store_raise_fence('test')",
            Self::FencedVerified => {
                "SELECT event_store_raise_fence('test'); \
                 CREATE FUNCTION verify_at_once() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN NEW.verified_at := 'infinity'; RETURN NEW; END $$; \
                 CREATE TRIGGER verify_at_once BEFORE INSERT ON event_store_tenant \
                 FOR EACH ROW EXECUTE FUNCTION verify_at_once()"
            }
            Self::Finalized => "SELECT event_store_raise_fence('test'); SELECT event_store_finalize('test')",
            Self::Restoring => {
                "SELECT event_store_raise_fence('test'); SELECT event_store_finalize('test'); \
                 SELECT event_store_begin_restore('test')"
            }
        }
    }
}

/// Makes tests, one a phase, of functions that take a [`Setting`]: what they claim holds in every phase, and for services that
/// row security keeps to the tenants that they name.
#[macro_export]
macro_rules! in_every_phase {
    ($($claim:ident),+ $(,)?) => { $(
        mod $claim {
            use partita_tests::Setting;

            use super::$claim as claim;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn legacy() {
                claim(Setting::Legacy).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn dual() {
                claim(Setting::Dual).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn fenced() {
                claim(Setting::Fenced).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn fenced_verified() {
                claim(Setting::FencedVerified).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn restoring() {
                claim(Setting::Restoring).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn finalized() {
                claim(Setting::Finalized).await;
            }

            mod behind_row_security {
                use partita_tests::{Setting, behind_row_security};

                use super::claim;

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn legacy() {
                    behind_row_security(claim(Setting::Legacy)).await;
                }

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn dual() {
                    behind_row_security(claim(Setting::Dual)).await;
                }

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn finalized() {
                    behind_row_security(claim(Setting::Finalized)).await;
                }
            }
        }
    )+ };
}
